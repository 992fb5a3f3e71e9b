import { describe, expect, it } from 'vitest'
import {
  calculateMemory,
  calculateMonthlyCost,
  calculateMonthlyLlmCost,
  estimateGpus,
  recommendStrategy,
} from './source-formulas.ts'

/* The first example's values are printed in the guide; the others are what its own code prints when it is run. */
describe('the guide’s calculators', () => {
  it('give the memory that the guide prints', () => {
    expect(calculateMemory(7e9, 'fp16')).toEqual({
      modelGb: 13.04,
      kvCacheGb: 2.61,
      activationGb: 3.91,
      totalGb: 19.56,
      recommendedGpuGb: 23.47,
    })
    const large = calculateMemory(70e9, 'fp16')
    expect(large).toMatchObject({ modelGb: 130.39, kvCacheGb: 26.08, activationGb: 39.12, totalGb: 195.58 })
    expect(large.recommendedGpuGb).toBe(234.69)
  })

  it('estimate the GPUs of a model as the guide does', () => {
    const small = estimateGpus({ billionParams: 7, precision: 'fp16', tensorParallel: 1 })
    expect(small.memoryPerGpuGb).toBe(19.56)
    expect(small.recommendations.map(({ gpu, gpus, memoryGb }) => [gpu, memoryGb, gpus])).toEqual([
      ['A10G', 24, 1],
      ['A100-40GB', 40, 1],
      ['A100-80GB', 80, 1],
    ])
    expect(estimateGpus({ billionParams: 70, precision: 'fp16', tensorParallel: 4 })).toEqual({
      memoryPerGpuGb: 48.89,
      recommendations: [{ gpu: 'A100-80GB', memoryGb: 80, gpus: 4 }],
    })
  })

  it('give the monthly cost of its medium traffic', () => {
    const medium = { requestsPerDay: 10_000, inputTokens: 500, outputTokens: 200 }
    expect(calculateMonthlyLlmCost({ ...medium, costPerHour: 1.2, requestsPerSecond: 0.5 })).toEqual({
      gpusNeeded: 1,
      monthlyCost: 864,
      costPerRequest: 0.0029,
      costPerMillionTokens: 4.11,
    })
  })

  it('give the whole monthly cost of its two clusters', () => {
    const single = { costPerHour: 1.2, gpus: 1, utilization: 0.7, storageGb: 150, networkGb: 2_000, additional: 80 }
    expect(calculateMonthlyCost(single)).toEqual({
      gpuMonthly: 604.8,
      storageMonthly: 22.5,
      networkMonthly: 160,
      additionalMonthly: 80,
      totalMonthly: 867.3,
    })
    const four = { costPerHour: 5, gpus: 4, utilization: 0.85, storageGb: 500, networkGb: 10_000, additional: 300 }
    expect(calculateMonthlyCost(four)).toMatchObject({ gpuMonthly: 12_240, networkMonthly: 800, totalMonthly: 13_415 })
  })

  it('advise on a budget in its three steps', () => {
    expect(recommendStrategy({ budgetPerMonth: 5_000, requestsPerDay: 50_000 })).toEqual([
      'Use 7B or 13B model with quantization',
      'Implement request batching',
      'Use mid-tier GPUs (A10G, T4)',
    ])
    expect(recommendStrategy({ budgetPerMonth: 100, requestsPerDay: 50_000 })[0]).toContain('smallest viable model')
    expect(recommendStrategy({ budgetPerMonth: 50_000, requestsPerDay: 50_000 })[0]).toContain('larger models')
  })
})
