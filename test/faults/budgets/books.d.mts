/** What a client saw of a request's usage. */
export interface SeenUsage {
  prompt_tokens: number
  completion_tokens: number
}
export function setPrices(databaseUrl: string): Promise<void>
export function mostNano(body: string, outputTokens: number): bigint
export function watchBudgets(databaseUrl: string): Promise<{
  seen: { looks: number; fullest: number; problems: Set<string> }
  stop(): Promise<void>
}>
export function keyId(databaseUrl: string): Promise<string>
export function countCharges(databaseUrl: string): Promise<number>
export function tenantBudget(databaseUrl: string): Promise<{ spent: bigint; held: bigint }>
export function endHolds(databaseUrl: string): Promise<bigint>
export function countHolds(databaseUrl: string): Promise<number>
export function compareCharges(
  databaseUrl: string,
  seen: { answered: ReadonlyMap<string, SeenUsage>; refused: ReadonlySet<string> },
): Promise<{ charged: number; lost: number; doubled: number; differenceNano: number; problems: string[] }>
