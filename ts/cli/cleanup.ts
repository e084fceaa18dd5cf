import type { CleanupReport, Outcome } from '../../index'
import { type Command, count, EXIT, span, texts } from './command'
import { duration, number } from './output'

export const cleanup: Command = {
  summary: 'Remove finished streams, and drop expired ones from the index.',
  args: '',
  arity: [0, 0],
  options: {
    'older-than': { type: 'string', value: 'duration', help: 'not written to for so long; default 1h' },
    outcome: { type: 'string', multiple: true, value: 'outcome', help: 'only these: complete, failed, …' },
    'dry-run': { type: 'boolean', help: 'remove nothing, say what would be' },
    batch: { type: 'string', value: 'count', help: 'streams at once, 1 to 1000; default 100' },
    force: { type: 'boolean', help: 'live streams too' },
  },
  details: 'Ctrl-C ends it after the batch under way.',
  async run({ engine, values, out, signal }) {
    let last: CleanupReport | undefined
    try {
      const report = await engine.cleanup({
        olderThan: span(values, 'older-than'),
        outcomes: texts(values, 'outcome') as Outcome[] | undefined,
        dryRun: values['dry-run'] === true,
        force: values.force === true,
        batch: count(values, 'batch'),
        signal,
        onProgress: (report) => {
          last = report
          const share = Math.min(100, Math.floor((100 * report.scanned) / (report.total || 1)))
          out.progress(`${share} %, ${number(report.scanned)} of ${number(report.total)} streams …`)
        },
      })
      if (out.json) out.value(report)
      else out.line(summary(report))
    } catch (error) {
      if (signal.aborted && last !== undefined) out.note(`Interrupted. ${summary(last)}`)
      throw error
    }
    return EXIT.ok
  },
}

function summary(report: CleanupReport): string {
  const { dryRun, scanned, removed, live, kept, damaged, healed, durationMs } = report
  const done = dryRun ? 'would be removed' : 'removed'
  const left = `${number(live)} live and ${number(kept)} others left${damaged > 0 ? `, ${number(damaged)} damaged (tidemark ls names them)` : ''}`
  return `${number(removed)} of ${number(scanned)} streams ${done}, ${left}, ${number(healed)} expired ids, ${duration(durationMs)}`
}
