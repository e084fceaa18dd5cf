/** A subject cannot be run here: the report says why, and this is no failure. */
export class LeftOut extends Error {}
