export { answerTexts } from './answer-texts.ts'
export { compileCheck, type FitsNot } from './compile-check.ts'
