// What a worker does with a question: it asks a model whose own stream can be resumed, and feeds the answer into a stream of Tidemark's.
//
// Whichever worker gets the job again, because the one before has died, stands still or was redeployed, continues the same answer:
// Tidemark fences the worker before (`ifActive: 'continue'`), and the model is asked for what follows the last chunk that is there.
// Each chunk has the model's own number with it, so nothing is lost and nothing comes twice.

/**
 * @param {import('tidemark').Engine} engine
 * @param {import('openai').default} openai
 * @param {string} streamId
 * @param {{ model: string, input: string }} question
 */
export async function feed(engine, openai, streamId, question) {
  const producer = await engine.produce(streamId, { ifActive: 'continue', ifEnded: 'error' })
  const before = producer.continued === undefined ? undefined : await positionIn(engine.log(streamId))
  let id = before?.id
  let last = before?.last
  producer.signal.addEventListener('abort', () => {
    // Stop was pressed. A worker that was only replaced leaves the model to the next one.
    const isStopped = producer.signal.reason.code === 'ERR_STOPPED'
    if (isStopped && id !== undefined) openai.responses.cancel(id).catch(console.error)
  })
  try {
    for (;;) {
      const { signal } = producer
      const events =
        id === undefined
          ? await openai.responses.create({ ...question, background: true, stream: true }, { signal })
          : await openai.responses.retrieve(id, { stream: true, starting_after: last }, { signal })
      for await (const event of events) {
        last = event.sequence_number
        if (event.type === 'response.created') {
          id = event.response.id
          // Without it nobody could ask for the rest.
          await producer.append(JSON.stringify({ n: last, id }))
        } else if (event.type === 'response.output_text.delta') {
          if (!producer.write(JSON.stringify({ n: last, delta: event.delta }))) await producer.ready
        } else if (event.type === 'response.failed' || event.type === 'error') {
          return await producer.fail('The model has failed.')
        } else if (event.type === 'response.completed' || event.type === 'response.incomplete') {
          return await producer.complete()
        }
      }
      // The connection to the model has ended before its answer.
    }
  } catch (error) {
    if (producer.signal.aborted)
      return producer.signal.reason.code === 'ERR_STOPPED' ? producer.complete() : undefined
    await producer.fail('The model cannot be reached.')
    throw error
  }
}

/** How far the worker before has come. @param {import('tidemark').Log} log */
async function positionIn(log) {
  const first = await log.page({ from: 0, limit: 1 })
  const last = await log.page({ from: -1 })
  return { id: first.chunks[0]?.json().id, last: last.chunks.at(-1)?.json().n }
}
