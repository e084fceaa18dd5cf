/** A subject that cannot be run here: the report says why, and it is no failure. */
export class LeftOut extends Error {}
