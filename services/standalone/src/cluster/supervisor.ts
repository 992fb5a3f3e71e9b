import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { backoffMs, type Clock, type Logger, type Running } from '@forebay/kernel'
import { type Command, endChild, startChild } from '../child.ts'

interface Member {
  name: string
  command: Command
  child: ChildProcess
  restarts: number
  cancelRestart: () => void
}

/** Keeps a set of child processes running: one that dies is started again, after a wait that grows while it keeps dying. */
export class Supervisor implements Running {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #members = new Map<string, Member>()
  #stopping: Promise<void> | undefined

  constructor(options: { clock: Clock; logger: Logger }) {
    this.#clock = options.clock
    this.#logger = options.logger
  }

  /** Starts a process under a name of its own. */
  start(name: string, command: Command): void {
    const member: Member = { name, command, child: startChild(command), restarts: 0, cancelRestart: () => {} }
    this.#members.set(name, member)
    this.#watch(member)
  }

  names(): string[] {
    return [...this.#members.keys()]
  }

  /** The process id of a member; undefined while it is down. */
  pid(name: string): number | undefined {
    return this.#members.get(name)?.child.pid
  }

  /** Sends a signal; resolves when the process is gone, for signals that end it. False when it is not running now. */
  async kill(name: string, signal: NodeJS.Signals): Promise<boolean> {
    const child = this.#members.get(name)?.child
    if (!child || child.exitCode !== null || child.signalCode !== null) return false
    const exited = once(child, 'exit')
    child.kill(signal)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await exited
    return true
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** In reverse order of their start, each with time to drain. */
  async #stop(): Promise<void> {
    for (const member of [...this.#members.values()].reverse()) {
      member.cancelRestart()
      await endChild(member.child, { clock: this.#clock, graceMs: 30_000 })
    }
  }

  #watch(member: Member): void {
    const startedMs = this.#clock.now()
    const onGone = (reason: string) => {
      if (this.#stopping) return
      if (this.#clock.now() - startedMs > 10_000) member.restarts = 0
      member.restarts++
      const waitMs = backoffMs(member.restarts, { firstMs: 100, maxMs: 5000 })
      this.#logger.warn({ name: member.name, reason, waitMs }, 'a process ended and is started again')
      member.cancelRestart = this.#clock.after(waitMs, () => {
        member.child = startChild(member.command)
        this.#watch(member)
      })
    }
    member.child.once('exit', (code, signal) => onGone(signal ?? `exit code ${code}`))
    member.child.once('error', (err) => member.child.pid === undefined && onGone(err.message))
  }
}
