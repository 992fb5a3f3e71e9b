export { answerTexts } from './answer-texts.ts'
export { compileCheck, type FitsNot } from './compile-check.ts'
export { measureAnswer } from './measure-answer.ts'
export {
  addToSpread,
  describeSpread,
  emptySpread,
  type QualityMeasure,
  qualityMeasures,
  type Spread,
} from './spread.ts'
