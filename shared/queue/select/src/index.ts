export { openQueues } from './open-queues.ts'
