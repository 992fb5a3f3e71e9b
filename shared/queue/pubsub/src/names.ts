import { ForebayError } from '@forebay/kernel'

/** The full names of a queue's topic and subscription, and of its dead-letter queue's, on Pub/Sub. */
export interface PubsubNames {
  readonly topic: string
  readonly subscription: string
  readonly deadTopic: string
  readonly deadSubscription: string
}

/** Pub/Sub allows what queue names allow; "~dead" ends the dead-letter queue's name. Throws `queue_invalid` when too long. */
export function pubsubNames(options: { project: string; prefix: string; name: string }): PubsubNames {
  const { name, prefix, project } = options
  const id = `${prefix}.${name}`
  if (id.length > 200) {
    throw new ForebayError('queue_invalid', `Queue name "${name}" is too long for Pub/Sub: shorten it or its prefix.`)
  }
  const of = (kind: 'topics' | 'subscriptions', end = '') => `projects/${project}/${kind}/${id}${end}`
  return {
    topic: of('topics'),
    subscription: of('subscriptions'),
    deadTopic: of('topics', '~dead'),
    deadSubscription: of('subscriptions', '~dead'),
  }
}
