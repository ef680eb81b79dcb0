// What a process says on one of its outputs, to be waited for.

/** `has` resolves when the output has the text, with all of it so far; it rejects when the output ends without. */
export function listenTo(stream: ReadableStream<Uint8Array>) {
  let text = "";
  let over = false;
  let waiting: (() => void)[] = [];
  const look = () => {
    const all = waiting;
    waiting = [];
    for (const each of all) each();
  };
  const all = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      look();
    }
    over = true;
    look();
    return text;
  })();
  return {
    all,
    async has(wanted: string): Promise<string> {
      while (!text.includes(wanted)) {
        if (over) throw new Error(`it ended without a word of "${wanted}":\n${text}`);
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      return text;
    },
  };
}
