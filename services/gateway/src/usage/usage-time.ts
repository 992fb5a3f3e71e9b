import { z } from 'zod'

/** A time in a query: Unix seconds or an ISO 8601 date; epoch milliseconds once read. */
export const usageTime = z
  .string()
  .transform((text) => (/^\d{1,11}$/.test(text) ? Number(text) * 1000 : /^\d{4}-/.test(text) ? Date.parse(text) : -1))
  .refine((ms) => ms >= 0 && ms <= 8.64e15, 'Invalid time: expected Unix seconds or an ISO 8601 date.')
