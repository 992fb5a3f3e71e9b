export { fitModel, type ModelFit } from './fit-model.ts'
export { type ModelSpec, modelsSchema } from './model-spec.ts'
export { type PickedModel, pickModel } from './pick-model.ts'
export { vllmCommand } from './vllm-command.ts'
