// README's quick start, pasted into an empty folder with the packed tarballs, started, asked and resumed. `.ci/run` does the
// same with docs/next.md.

import { test } from 'node:test'
import { firstHour } from '../../scripts/first-hour.mjs'

test("README's quick start runs as it is pasted, and resumes", () => firstHour(['readme']))
