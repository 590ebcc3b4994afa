const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";

/** What `DOMAIN_NAME` allows, for people. */
export const DOMAIN_NAME_RULE = "a name such as web.example.org";

/**
 * A full name in the DNS: labels of up to 63 characters (RFC 1035 section 2.3.4), the first of them may
 * be `*`. Nothing in it ends a line or begins an option: commands are told such names.
 */
export const DOMAIN_NAME = new RegExp(`^(?=.{1,253}$)(?:\\*\\.)?(?:${LABEL}\\.)*${LABEL}\\.?$`);
