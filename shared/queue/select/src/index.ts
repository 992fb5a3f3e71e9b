export { openQueues, queueSchemes } from './open-queues.ts'
