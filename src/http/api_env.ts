import type { Caller } from "../security/authorize.ts";

/** What handlers find beside the request. */
export interface ApiEnv {
  Variables: {
    /** Set on every route that needs a role. */
    caller: Caller;
  };
}
