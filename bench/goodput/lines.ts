/** Splits UTF-8 bytes into lines without their ends; the last one may lack its end. */
export function TextLineStream(): TransformStream<Uint8Array<ArrayBuffer>, string> {
  const decoder = new TextDecoder();
  let rest = "";
  return new TransformStream({
    transform(bytes, controller) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) controller.enqueue(line);
    },
    flush(controller) {
      if (rest !== "") controller.enqueue(rest);
    },
  });
}
