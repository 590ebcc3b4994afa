/** What the firmware does with the machine's memory, and how it tells. */
export interface FirmwareGuest {
  /** First byte of the memory that is rewritten; at 1 MiB or above, a multiple of 4096. */
  readonly firstByte: number;
  /** Pages of 4 KiB that are rewritten in every pass. */
  readonly pageCount: number;
}

/**
 * A firmware image (64 KiB, for `-bios`) that keeps a machine busy and checks its own memory.
 *
 * In pass k every word of page i becomes k + i, or 0 where that is a multiple of 8; in page 0 every
 * byte changes, so that an XBZRLE delta of it never pays. Before a page is rewritten all of it is
 * compared with what pass k - 1 wrote. Each pass ends with "." on the first
 * serial port; a page that lost or kept an older write prints "X" and stops. A pass number lives in
 * a register, so two passes after a move have checked CPU state and every page.
 */
export function firmwareImage({ firstByte, pageCount }: FirmwareGuest): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(64 * 1024);
  let at = 0;
  const put = (hex: string) => {
    for (const byte of hex.trim().split(/\s+/)) image[at++] = parseInt(byte, 16);
  };
  const put32 = (value: number) => {
    new DataView(image.buffer).setUint32(at, value, true);
    at += 4;
  };
  // 16-bit code, at 0xffff0000 in a 64 KiB segment.
  put("fa"); /*                        cli                                       */
  put("2e 66 0f 01 16 a0 00"); /*      lgdtl  cs:[0xa0]                          */
  put("0f 20 c0 0c 01 0f 22 c0"); /*   mov eax, cr0; or al, 1; mov cr0, eax      */
  put("66 ea 18 00 ff ff 08 00"); /*   jmp 8:0xffff0018                          */
  // 32-bit code; flat segments, ebp = pass, esi = page, edi = address.
  put("66 b8 10 00 8e d8 8e c0"); /*   mov ax, 0x10; mov ds, ax; mov es, ax      */
  put("31 ed"); /*                     xor ebp, ebp                              */
  put("31 f6 bf"); /*            pass: xor esi, esi; mov edi, firstByte          */
  put32(firstByte);
  put("85 ed 74 23"); /*         page: test ebp, ebp; jz write                   */
  put("8d 44 35 ff"); /*               lea eax, [ebp + esi - 1]                  */
  put("a8 07 75 02 31 c0"); /*         test al, 7; jnz +2; xor eax, eax          */
  put("85 f6 75 06"); /*               test esi, esi; jnz +6                     */
  put("69 c0 01 01 01 01"); /*         imul eax, eax, 0x01010101                 */
  put("b9 00 04 00 00 f3 af"); /*      mov ecx, 1024; repe scasd                 */
  put("75 34"); /*                     jne fail                                  */
  put("81 ef 00 10 00 00"); /*         sub edi, 4096                             */
  put("8d 44 35 00"); /*        write: lea eax, [ebp + esi]                      */
  put("a8 07 75 02 31 c0"); /*         test al, 7; jnz +2; xor eax, eax          */
  put("85 f6 75 06"); /*               test esi, esi; jnz +6                     */
  put("69 c0 01 01 01 01"); /*         imul eax, eax, 0x01010101                 */
  put("b9 00 04 00 00 f3 ab"); /*      mov ecx, 1024; rep stosd                  */
  put("46 81 fe"); /*                  inc esi; cmp esi, pageCount               */
  put32(pageCount);
  put("72 b5"); /*                     jb page                                   */
  put("45"); /*                        inc ebp                                   */
  put("66 ba f8 03 b0 2e ee"); /*      mov dx, 0x3f8; mov al, '.'; out dx, al    */
  put("eb a4"); /*                     jmp pass                                  */
  put("66 ba f8 03 b0 58 ee"); /* fail: mov dx, 0x3f8; mov al, 'X'; out dx, al   */
  put("f4 eb fd"); /*                  hlt; jmp -3                               */
  at = 0x88; // descriptors: null, flat code, flat data, all with "accessed" set (this is ROM)
  put("00 00 00 00 00 00 00 00  ff ff 00 00 00 9b cf 00  ff ff 00 00 00 93 cf 00");
  at = 0xa0; // their limit and base
  put("17 00 88 00 ff ff");
  at = 0xfff0; // where the CPU starts
  put("e9 0d 00"); /*                  jmp 0x0000                                */
  return image;
}
