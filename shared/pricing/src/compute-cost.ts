const microsPerHour = 3_600_000_000

/** What so many microseconds of GPU time cost, in whole nano-units; null when the time or the price is unknown. */
export function computeNano(gpuMicros: number | null, costPerGpuHour: number | undefined): number | null {
  if (gpuMicros === null || costPerGpuHour === undefined) return null
  return Math.round((gpuMicros / microsPerHour) * costPerGpuHour * 1e9)
}
