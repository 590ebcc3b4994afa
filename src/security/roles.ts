/**
 * What a token of the API may do, each role all of those before it: `read` looks, `operate` moves
 * machines that are registered, `admin` says which machines, programs, files and tokens there are.
 */
export const ROLES = ["read", "operate", "admin"] as const;
/** What a token may do; each role may what the ones before it may. */
export type Role = (typeof ROLES)[number];

/** True when somebody of role `has` may do what needs `needs`. */
export function roleAllows(has: Role, needs: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(needs);
}
