export { checkQueueUrl, openQueues } from './open-queues.ts'
