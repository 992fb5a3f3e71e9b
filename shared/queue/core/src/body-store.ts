/** Where bodies too big for the broker go (the claim check): any blob store. `get` rejects when the key is absent. */
export interface BodyStore {
  put(key: string, body: Uint8Array): Promise<void>
  get(key: string): Promise<Uint8Array>
  delete(key: string): Promise<void>
}
