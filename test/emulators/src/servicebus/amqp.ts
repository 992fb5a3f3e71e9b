import type { Connection, EventContext, Message, Sender } from 'rhea'
import rhea from 'rhea'
import { answerManagement, errorConditions } from './management.ts'
import { addressOf, type Namespace } from './namespace.ts'
import type { BrokerQueue } from './queue.ts'
import { wireForm } from './wire-form.ts'

const messageBytesMax = 256 * 1024
const batchFormat = 0x80013700
/** .NET writes a GUID's first three fields in little endian; a lock token is the delivery tag read that way. */
const guidOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]

/** A receiver's end here: what it may still be sent, in AMQP's running count. */
interface Consumer {
  readonly sender: Sender
  readonly queue: BrokerQueue
  /** How many deliveries it has been given credit for and used up; rhea itself counts one tick late. */
  used: number
}

/**
 * Service Bus's side of AMQP 1.0: `$cbs` that grants every token, `$management`, and links that send to and
 * peek-lock from queues. `refuseSend` answers an error condition for the next send, or undefined.
 */
export function makeAmqpServer(namespace: Namespace, refuseSend: () => string | undefined) {
  const container = rhea.create_container({
    id: 'forebay-service-bus',
    receiver_options: { autoaccept: false, credit_window: 500, max_message_size: messageBytesMax },
    sender_options: { autosettle: false, treat_modified_as_released: false },
  })
  container.sasl_server_mechanisms['enable_anonymous']()
  const consumers = new Map<string, Set<Consumer>>()
  const consumerOf = new WeakMap<Sender, Consumer>()

  namespace.onReady = (address) => {
    for (const consumer of consumers.get(address) ?? []) fill(consumer)
  }

  container.on('sender_open', ({ sender }: EventContext) => {
    if (!sender) return
    const address = addressOf(String(sender.source.address))
    sender.set_source({ address: sender.source.address })
    sender.set_target({ address: String(sender.target?.address ?? '') })
    if (address === '$cbs' || address.endsWith('/$management')) return
    const queue = namespace.find(address)
    if (!queue) return sender.close(notFound(address))
    // Settled as it is sent: receive and delete.
    Object.assign(linkState(sender).local.attach, {
      snd_settle_mode: sender.snd_settle_mode,
      rcv_settle_mode: sender.rcv_settle_mode,
    })
    const consumer = { sender, queue, used: 0 }
    consumerOf.set(sender, consumer)
    const peers = consumers.get(address) ?? new Set()
    consumers.set(address, peers.add(consumer))
    sender.once('sender_close', () => peers.delete(consumer))
  })
  container.on('receiver_open', ({ receiver }: EventContext) => {
    if (!receiver) return
    const address = addressOf(String(receiver.target.address))
    receiver.set_source({ address: String(receiver.source?.address ?? '') })
    receiver.set_target({ address: String(receiver.target.address) })
    const known = address === '$cbs' || namespace.find(address.replace('/$management', ''))
    if (!known) receiver.close(notFound(address))
  })
  container.on('sender_flow', ({ sender }: EventContext) => {
    const consumer = sender && consumerOf.get(sender)
    if (consumer) fill(consumer)
  })
  container.on('sender_draining', ({ sender }: EventContext) => {
    const consumer = sender && consumerOf.get(sender)
    if (!consumer) return
    consumer.used = creditEnd(consumer.sender)
    answerDrain(linkState(consumer.sender))
  })

  container.on('message', (context: EventContext) => {
    const { connection, delivery, receiver } = context
    if (!delivery || !receiver) return
    const address = addressOf(String(receiver.target.address))
    const queue = namespace.find(address.replace('/$management', ''))
    if (address === '$cbs' || address.endsWith('/$management')) {
      if (context.message) answer(connection, context.message, queue)
      return delivery.update(true, outcome('accepted'))
    }
    const refused = refuseSend()
    if (refused || !queue) return delivery.update(true, outcome('rejected', refused ?? 'amqp:not-found'))
    for (const message of messagesOf(context)) queue.add(message)
    delivery.update(true, outcome('accepted'))
  })

  const settling =
    (settle: (queue: BrokerQueue, token: string, error: AmqpReason | undefined) => boolean) =>
    ({ delivery, sender }: EventContext) => {
      const consumer = sender && consumerOf.get(sender)
      if (!consumer || !delivery || delivery.settled) return
      const held = settle(consumer.queue, tokenOf(delivery.tag), delivery.remote_state?.['error'])
      delivery.update(true, held ? outcome('accepted') : outcome('rejected', errorConditions.lockLost))
      // The peer will not settle once more; rhea keeps a delivery until both sides have.
      Object.assign(delivery, { remote_settled: true })
    }
  container.on(
    'accepted',
    settling((queue, token) => queue.complete(token)),
  )
  container.on(
    'modified',
    settling((queue, token) => queue.abandon(token)),
  )
  container.on(
    'released',
    settling((queue, token) => queue.abandon(token)),
  )
  container.on(
    'rejected',
    settling((queue, token, error) => queue.deadLetter(token, reasonsOf(error))),
  )
  container.on('disconnected', ({ connection }: EventContext) => {
    for (const peers of consumers.values()) {
      for (const consumer of peers) if (consumer.sender.connection === connection) peers.delete(consumer)
    }
  })
  // A peer that goes away is no fault here.
  for (const event of ['connection_error', 'session_error', 'protocol_error', 'error']) {
    container.on(event, () => undefined)
  }
  return container
}

function fill(consumer: Consumer): void {
  const { queue, sender } = consumer
  while (sender.is_open() && consumer.used < creditEnd(sender)) {
    const presettled = sender.snd_settle_mode === 1
    const entry = queue.take(presettled ? 'remove' : 'lock')
    if (!entry) return
    consumer.used++
    sender.send(wireForm(entry), entry.lock ? tagOf(entry.lock.token) : undefined)
  }
}

/** What rhea keeps of a link and does not type. */
interface LinkState {
  credit: number
  delivery_count: number
  issue_flow: boolean
  _get_drain: () => boolean
  readonly local: { readonly attach: object }
}

function linkState(sender: Sender): LinkState {
  return sender as unknown as LinkState
}

/** Where the link's running count of deliveries must stop for now; the sum holds between two grants of credit. */
function creditEnd(sender: Sender): number {
  const { credit, delivery_count: count } = linkState(sender)
  return count + credit
}

/** Says that the link is drained, after the messages just sent; rhea alone would say nothing when no credit was left. */
function answerDrain(link: LinkState): void {
  let asked = true
  link._get_drain = () => {
    const answering = asked
    asked = false
    if (answering) Object.assign(link, { delivery_count: link.delivery_count + link.credit, credit: 0 })
    return answering
  }
  link.issue_flow = true
}

function messagesOf(context: EventContext): Message[] {
  const { delivery, message } = context
  if (delivery?.format !== batchFormat) return message ? [message] : []
  // In another format rhea hands over the bytes.
  const { body } = rhea.message.decode(message as unknown as Buffer)
  const content: Buffer | Buffer[] = body.content
  return (Array.isArray(content) ? content : [content]).map((bytes) => rhea.message.decode(bytes) as unknown as Message)
}

/** Answers a request on the link that the requester opened for replies. */
function answer(connection: Connection, request: Message, queue: BrokerQueue | undefined): void {
  const reply = queue
    ? answerManagement(queue, request)
    : { application_properties: { 'status-code': 202 }, body: undefined }
  const to = request.reply_to
  const sender = connection.find_sender((link: Sender) => link.name === to || link.target?.address === to)
  sender?.send({ ...reply, correlation_id: String(request.message_id) })
}

interface AmqpReason {
  readonly info?: Readonly<Record<string, unknown>>
}

function reasonsOf(error: AmqpReason | undefined): Record<string, string> {
  return Object.fromEntries(
    ['DeadLetterReason', 'DeadLetterErrorDescription'].flatMap((name) => {
      const value = error?.info?.[name]
      return value === undefined ? [] : [[name, String(value)]]
    }),
  )
}

function outcome(kind: 'accepted' | 'rejected', condition?: string) {
  const make = (rhea.message as unknown as Record<string, (fields?: object) => { described(): unknown }>)[kind]
  return make?.(condition ? { error: { condition, description: condition } } : undefined).described()
}

function notFound(address: string) {
  return { condition: 'amqp:not-found', description: `The messaging entity '${address}' could not be found.` }
}

/** A lock token in hexadecimal as the delivery tag that says it, and back; the order undoes itself. */
function tagOf(token: string): Buffer {
  const bytes = Buffer.from(token, 'hex')
  return Buffer.from(guidOrder.map((at) => bytes[at] ?? 0))
}
function tokenOf(tag: Buffer | string): string {
  return tagOf(Buffer.from(tag).toString('hex')).toString('hex')
}
