import { GatewayError } from "../../core/errors.ts";

/** The peer broke the protocol; the connection cannot be used any more. */
export function protocolFailure(state: string): GatewayError {
  return new GatewayError("nbd_protocol", `Cannot go on with the NBD peer: ${state}`, {
    hint: "Check that the address is an NBD server (fixed newstyle) without a proxy in between",
  });
}

/** The server understood and said no. */
export function refusal(action: string, state: string, hint: string): GatewayError {
  return new GatewayError("nbd_refused", `Cannot ${action}: ${state}`, { hint });
}
