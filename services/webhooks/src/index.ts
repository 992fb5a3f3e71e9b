export { startWebhooks } from './app.ts'
