/** How history goes: limits of packs. */

/** Revisions that a storage looks at for a pack at once, between two commits. */
export const PACK_ROWS = 500;
/** Revisions a second that it deletes, unless `storage.packRowsPerS` says otherwise. */
export const PACK_ROWS_PER_S = 5_000;
/** So many that stay count as one that is deleted. */
export const PACK_LOOKS_PER_ROW = 20;
/** When a pack that is stopped, or keeps up no more, looks again, in ms. */
export const PACK_PAUSE_MS = 1_000;
/** How long no pack is begun after a recovery, in ms: clients of before may come back with what they have open. */
export const PACK_QUIET_MS = 60_000;
/** How long a client may take to say what its program has open, in ms. */
export const PACK_ASK_MS = 10_000;
