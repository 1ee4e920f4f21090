/**
 * Ids of the features and hazards that the code claims so far. `tidy.ts` wants each in the title of at
 * least one test.
 *
 * @module
 */

/** T and N: features; X: what no other system has; A, B, C, D, H, I: hazards, ways to lose data. */
export const FEATURE_IDS: readonly string[] = `
  T1 T2 T3 T6 T7 T8 T9 T10 T11 T12 T13 T15 T16 T17 T18 T19 T20 T21 T22 T23 T24 T25 T26 T27 T28 T29 T30 T31 T32 T33
  T35 T36 T37 T38 T39 T40 T41 T42 T43 T45 T46 T47 T48 T49 T50 T51 T52 T53 T54 T55 T56 T57 T59 T60 T61 T62
  N1 N3 N4 N5 N6 N7 N8 N12 N13 N14 N15
  P2 P7 P10
  X1 X2 X3 X5 X6 X7
  A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17 A18 A19
  B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B13 B14
  C1 C2 C3 C4 C5 C6
  D1 D2
  H1 H2 H3
  I1
  J1 J2
`.trim().split(/\s+/);
