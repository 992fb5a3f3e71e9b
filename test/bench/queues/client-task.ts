/** One measurement of one contender on a queue of its own. */
export interface ClientTask {
  driver: DriverName
  way: 'core' | 'bare'
  url: string
  name: string
  /** Jobs to send, receive and acknowledge. */
  jobs: number
  /** Jobs to send one by one to an idle consumer. */
  idle: number
}

export interface ClientResult {
  jobsPerSecond: number
  /** Median milliseconds from a send to an idle queue to the job's arrival. */
  idleP50Ms: number
  /** Microseconds of this process's CPU per job. */
  cpuMicros: number
}

/** The drivers that are measured: those of a broker with an SDK to compare with. */
export const driverNames = ['redis', 'redis-streams', 'postgres', 'sqs', 'pubsub', 'servicebus'] as const
export type DriverName = (typeof driverNames)[number]
