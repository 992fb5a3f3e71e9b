export type { Emulator } from './emulator.ts'
export { type PubsubEmulator, startPubsubEmulator } from './pubsub/start.ts'
export { type ServicebusEmulator, startServicebusEmulator } from './servicebus/start.ts'
export { type SqsEmulator, startSqsEmulator } from './sqs.ts'
