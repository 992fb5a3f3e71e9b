export interface BatchFiles {
  id: string
  status: string
  counts: { total: number; completed: number; failed: number }
  input: string
  output: string
  errors: string
}

export function check(options: {
  databaseUrl: string
  batches: BatchFiles[]
}): Promise<{ lines: number; lost: number; doubled: number; overcharged: number; problems: string[] }>
