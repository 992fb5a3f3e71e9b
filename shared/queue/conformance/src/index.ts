export { describeQueueDriver } from './describe-queue-driver.ts'
export type { DriverExpectations } from './harness.ts'
