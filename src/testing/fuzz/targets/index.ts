import type { FuzzTarget, OpenTarget } from "../target.ts";
import { cliEvents } from "./cli_events.ts";
import { controlMessages } from "./control_messages.ts";
import { diskBatches } from "./disk_batches.ts";
import { envelope } from "./envelope.ts";
import { httpApi } from "./http_api.ts";
import { laneChunks, pathDatagrams } from "./link.ts";
import { ledgerFile, ledgerRows } from "./ledger_files.ts";
import { memoryBatches } from "./memory_batches.ts";
import { moveFrames } from "./move_frames.ts";
import { nbdClient, nbdServer, nbdStatus } from "./nbd.ts";
import { neighbourFrames } from "./neighbour_frames.ts";
import { diskOffer, memoryOffer, needFrames, storeOffer } from "./offers.ts";
import { qemuStream, returnPath } from "./qemu_stream.ts";
import { qmpAnswers, qmpLines, qmpSession } from "./qmp.ts";
import { identityFiles, siteConfig, wanProfile } from "./settings_files.ts";
import { imageRecord, storeFiles } from "./state_files.ts";
import { referenceCalls, referenceMessages, referenceStream } from "./reference.ts";
import { scenario } from "./scenario.ts";
import { handshakeExchange, wireHandshake } from "./wire_handshake.ts";
import { wireRecords } from "./wire_records.ts";
import { wireSession } from "./wire_session.ts";

/** Every parser that others can reach, by its name. */
const TARGETS: Record<string, OpenTarget> = {
  "wire-records": wireRecords,
  "wire-session": wireSession,
  "wire-handshake": wireHandshake,
  "handshake-exchange": handshakeExchange,
  "lane-chunks": laneChunks,
  "path-datagrams": pathDatagrams,
  envelope,
  "memory-batches": memoryBatches,
  "memory-offer": memoryOffer,
  "disk-batches": diskBatches,
  "disk-offer": diskOffer,
  "store-offer": storeOffer,
  "need-frames": needFrames,
  "move-frames": moveFrames,
  "control-messages": controlMessages,
  "neighbour-frames": neighbourFrames,
  "qemu-stream": qemuStream,
  "return-path": returnPath,
  "qmp-lines": qmpLines,
  "qmp-answers": qmpAnswers,
  "qmp-session": qmpSession,
  "nbd-client": nbdClient,
  "nbd-status": nbdStatus,
  "nbd-server": nbdServer,
  "wan-profile": wanProfile,
  scenario,
  "site-config": siteConfig,
  "identity-files": identityFiles,
  "ledger-rows": ledgerRows,
  "ledger-file": ledgerFile,
  "image-record": imageRecord,
  "store-files": storeFiles,
  "http-api": httpApi,
  "cli-events": cliEvents,
  "reference-messages": referenceMessages,
  "reference-stream": referenceStream,
  "reference-calls": referenceCalls,
};

/** The names of all targets, in the order of the rooms. */
export function targetNames(): string[] {
  return Object.keys(TARGETS);
}

/** @throws {RangeError} for a name that there is not */
export async function openTarget(name: string): Promise<FuzzTarget> {
  if (!Object.hasOwn(TARGETS, name)) {
    throw new RangeError(`No parser ${name}; there are ${targetNames().join(", ")}`);
  }
  return await TARGETS[name]();
}
