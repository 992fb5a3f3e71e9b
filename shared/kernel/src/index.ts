export { backoffMs } from './backoff.ts'
export { type Clock, systemClock } from './clock.ts'
export { eitherSignal, type FollowingSignal } from './either-signal.ts'
export {
  describeError,
  type ErrorCode,
  errorCodes,
  ForebayError,
  type ForebayErrorOptions,
  isForebayError,
  toErrorBody,
} from './errors.ts'
export { newId } from './ids.ts'
export { type Running, runProcess, stopAll } from './lifecycle.ts'
export { type Logger, type LogLevel, logLevels, makeLogger, silentLogger } from './logger.ts'
export { ManualClock } from './manual-clock.ts'
export { Counter, Gauge, Histogram, makeRegistry, Registry } from './metrics.ts'
export { type OpsServer, startOpsServer } from './ops-server.ts'
