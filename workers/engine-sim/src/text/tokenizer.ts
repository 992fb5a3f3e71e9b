/**
 * The simulator's tokenizer: every 4 bytes of UTF-8 are one token, and the token's id is those bytes as a
 * little-endian integer. So the count is ceil(bytes / 4), near what BPE gives for English, and texts that begin alike
 * have tokens that begin alike, which is what the prefix cache needs.
 */
export function tokenize(text: string): Uint32Array {
  const bytes = Buffer.from(text, 'utf8')
  const tokens = new Uint32Array(Math.ceil(bytes.length / 4))
  for (let i = 0; i < tokens.length; i++) {
    const at = i * 4
    tokens[i] =
      ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>>
      0
  }
  return tokens
}

/** The chat template: each message behind its role, then the assistant's turn. */
export function renderChat(messages: readonly { role: string; text: string }[]): string {
  return `${messages.map(({ role, text }) => `<|${role}|>\n${text}\n`).join('')}<|assistant|>\n`
}
