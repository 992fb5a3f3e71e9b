export { bareWorkJob } from './bare-job.ts'
export { type BatchError, type BatchStatus, batchStatuses, blobKeys, isTerminal, type OutputLine } from './batch.ts'
export { bornOf } from './born.ts'
export {
  type AnswerCheck,
  answerCheckSchema,
  checkFailedCode,
  checkSchemaBytesMax,
} from './checks.ts'
export { type InferenceEndpoint, inferenceEndpointSchema, inferenceEndpoints, promptParameter } from './endpoints.ts'
export {
  type AnswerQuality,
  type AnswerSource,
  answerSourceSchema,
  type BudgetHold,
  batchRequestId,
  type ChunkJob,
  type ChunkNote,
  chunkJobSchema,
  chunkNoteSchema,
  isCharged,
  type RequestJob,
  type RequestResult,
  type ResultEvent,
  requestJobSchema,
  requestResultSchema,
  resultEventSchema,
  type Usage,
  usageSchema,
  type WorkJob,
  workJobSchema,
} from './jobs.ts'
export { type JudgeCriterion, judgeCriteria, judgeTenantId } from './judge.ts'
export { type Lane, laneSchema, lanes, queueName } from './lanes.ts'
export {
  type Announcement,
  announcementSchema,
  type Control,
  controlSchema,
  type ReplyFrame,
  replyFrameSchema,
} from './replies.ts'
