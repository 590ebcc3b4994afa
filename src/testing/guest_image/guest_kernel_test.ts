import assert from "node:assert/strict";
import { findGuestKernel } from "./guest_kernel.ts";

/** Makes empty files below a new folder and returns what is found there. */
async function findAmong(paths: string[]) {
  const root = `${await Deno.makeTempDir()}/`;
  try {
    for (const path of paths) {
      await Deno.mkdir(`${root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
      await Deno.writeFile(`${root}${path}`, new Uint8Array());
    }
    const found = findGuestKernel([`${root}absent/`, root]);
    return found && {
      release: found.release,
      image: found.image.slice(root.length),
      modules: [...found.modules].map(([name, path]) => [name, path.slice(root.length)]),
    };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("findGuestKernel() takes the newest cloud kernel by number, not by text", async () => {
  const found = await findAmong([
    "boot/vmlinuz-6.1.0-9-cloud-amd64",
    "boot/vmlinuz-6.1.0-56-cloud-amd64",
    "boot/vmlinuz-6.9.0-amd64",
    "lib/modules/6.1.0-9-cloud-amd64/kernel/virtio.ko",
    "lib/modules/6.1.0-56-cloud-amd64/kernel/drivers/virtio/virtio-pci.ko",
    "lib/modules/6.9.0-amd64/kernel/virtio.ko",
  ]);
  assert.deepEqual(found, {
    release: "6.1.0-56-cloud-amd64",
    image: "boot/vmlinuz-6.1.0-56-cloud-amd64",
    modules: [
      ["virtio_pci", "lib/modules/6.1.0-56-cloud-amd64/kernel/drivers/virtio/virtio-pci.ko"],
    ],
  });
});

Deno.test("findGuestKernel() knows Debian 13's folder and compressed modules", async () => {
  const release = "6.12.107+deb13-cloud-amd64";
  const module = `usr/lib/modules/${release}/kernel/virtio_net.ko.xz`;
  const found = await findAmong([`boot/vmlinuz-${release}`, module]);
  assert.deepEqual(found?.modules, [["virtio_net", module]]);
});

Deno.test("findGuestKernel() passes over a kernel whose modules are gone", async () => {
  assert.equal(await findAmong(["boot/vmlinuz-6.1.0-9-cloud-amd64"]), null);
});
