/** Kinds of faults, and the moments at which a process is worth killing. */

/** Kinds of faults. */
export const faultKinds = [
  "crashStorage",
  "crashMaster",
  "crashClient",
  "crashTogether",
  "restartAll",
  "lostWrites",
  "tornWrite",
  "failedSave",
  "failedRead",
  "diskFull",
  "slowDisk",
  "stopStorage",
  "stopMaster",
  "stopAll",
  "stopClient",
  "hangClient",
  "reset",
  "halfOpen",
  "brokenAt",
  "partition",
  "oneWay",
  "delay",
  "pause",
  "slowNode",
  "clockJump",
] as const;
/** One of them. */
export type FaultKind = (typeof faultKinds)[number];

/** `lostWrites` comes with crashes. */
export const drawnKinds: readonly FaultKind[] = faultKinds.filter((kind) => kind !== "lostWrites");
/** Storages that come and go, and connections with them: copies are outdated and brought up to date all the time. */
export const flappingKinds: readonly FaultKind[] = [
  "crashStorage",
  "crashTogether",
  "stopStorage",
  "tornWrite",
  "reset",
  "brokenAt",
  "delay",
  "slowDisk",
];
/** A clock may jump beside the others; that hits no work. */
export const harmlessKinds: ReadonlySet<FaultKind> = new Set(["clockJump"]);

/** Effects after which a role's process is worth killing. */
export const moments: { readonly [role: string]: readonly string[] } = {
  storage: [
    "save part",
    "save store",
    "save vote",
    "save unvote",
    "save lock",
    "save unlock",
    "save abort",
    "save image",
    "save epoch",
    "save copy",
    "save copyPart",
    "save uncopy",
    "save resume",
    "save erase",
    "ask catchUp",
    "ask slices",
    "ask rows",
    "ask pick",
    "ask settle",
    "answer rows",
    "answer keys",
    "answer store",
    "answer vote",
    "answer lock",
    "answer fence",
    "answer start",
    "tell settled",
    "tell deadlock",
  ],
  master: [
    "save append",
    "save snapshot",
    "ask fence",
    "ask fate",
    "ask lock",
    "ask start",
    "tell unlock",
    "tell abort",
    "tell invalidate",
    "tell tableChange",
    "tell sessionOpened",
    "tell sessionEnded",
    "answer catchUp",
    "answer finish",
    "answer newOids",
    "answer outcome",
    "refuse",
  ],
  client: [
    "ask part",
    "ask store",
    "ask check",
    "ask vote",
    "ask finish",
    "ask outcome",
    "tell relock",
    "tell abort",
    "output",
  ],
};

/** How far a clock may jump. */
export const clockJumpsMs: readonly number[] = [
  -86_400_000,
  -3_600_000,
  -1_500,
  -20,
  20,
  1_500,
  3_600_000,
  86_400_000,
];

/** What a role says that is worth to be lost, or to be the last that is heard of it. */
export const saying: { readonly [role: string]: readonly string[] } = Object.fromEntries(
  Object.entries(moments).map((
    [role, all],
  ) => [role, all.filter((label) => /^(ask|tell|answer) /.test(label))]),
);
