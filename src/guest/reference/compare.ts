import type { Finding, GuestDescription } from "../guest.ts";

/** What makes a move between these two impossible, seen from `own`. */
export function compareDescriptions(own: GuestDescription, other: GuestDescription): Finding[] {
  const findings: Finding[] = [];
  const refuse = (code: string, message: string, hint: string) => {
    findings.push({
      severity: "refusal",
      code,
      message: `Cannot move the machine: ${message}`,
      hint,
    });
  };
  if (own.kind !== other.kind) {
    refuse(
      "guest_kind_differs",
      `it is of kind ${own.kind} here and ${other.kind} there`,
      "Register guests of the same kind at both sites",
    );
    return findings;
  }
  if (own.version !== other.version) {
    refuse(
      "machine_type_differs",
      `its version is ${own.version} here and ${other.version} there`,
      "Run the same version of the gateway at both sites",
    );
  }
  if (own.memoryBytes !== other.memoryBytes) {
    refuse(
      "memory_size_differs",
      `it has ${own.memoryBytes} bytes of memory here and ${other.memoryBytes} there`,
      "Register both with the same memoryMiB",
    );
  }
  const others = new Map(other.disks.map((disk) => [disk.id, disk]));
  for (const { id, sizeBytes } of own.disks) {
    const counterpart = others.get(id);
    others.delete(id);
    if (!counterpart) {
      refuse("disk_missing", `${id} is not there`, "Register both with the same disks");
    } else if (counterpart.sizeBytes !== sizeBytes) {
      refuse(
        "disk_sizes_differ",
        `${id} has ${sizeBytes} bytes here and ${counterpart.sizeBytes} there`,
        "Register both with disks of the same size",
      );
    }
  }
  for (const id of others.keys()) {
    refuse("disk_missing", `${id} is not here`, "Register both with the same disks");
  }
  return findings;
}
