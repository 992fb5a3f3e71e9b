import { z } from 'zod'
import { type Settings, setting, whole } from './setting.ts'

/** How many workers run. */
export const scaling = {
  scaleEveryMs: setting(
    'FOREBAY_SCALE_EVERY_MS',
    whole(100, 300_000).default(15_000),
    'how often the autoscaler decides',
  ),
  scaleStableMs: setting(
    'FOREBAY_SCALE_STABLE_MS',
    whole(0, 86_400_000).default(300_000),
    'how long fewer workers must have sufficed before a pool shrinks',
  ),
  scalerGrpcPort: setting(
    'FOREBAY_SCALER_GRPC_PORT',
    whole(0, 65535).optional(),
    'port of the autoscaler for external-push scalers of KEDA; not served when not set, 0 picks a free one',
  ),
  localWorkers: setting(
    'FOREBAY_LOCAL_WORKERS',
    z
      .string()
      .regex(/^\d{1,3}\.\.\d{1,3}$/, 'must be the least and the most, as in 0..4')
      .transform((value) => {
        const [min = 0, max = 0] = value.split('..').map(Number)
        return { min, max }
      })
      .refine(({ max, min }) => min <= max && max > 0, {
        error: 'must have a least that is not more than the most, and a most of at least 1',
      })
      .optional(),
    'least..most workers that the autoscaler starts and stops itself, on its own machine, for the pool of FOREBAY_POOL',
  ),
} as const satisfies Settings
