#!/usr/bin/env node
// Forebay runs from its TypeScript sources; the user's own tsconfig.json must not matter.
import { register } from 'tsx/esm/api'

register({ tsconfig: false })
await import('../src/main.ts')
