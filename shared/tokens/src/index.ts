export { defaultOutputTokens, estimateOutputTokens, estimatePromptTokens } from './estimate.ts'
