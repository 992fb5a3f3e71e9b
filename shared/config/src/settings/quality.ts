import { type Settings, setting, share, text, whole } from './setting.ts'

/** How good answers are, and who is told. */
export const quality = {
  qualityRepetitionMax: setting(
    'FOREBAY_QUALITY_REPETITION_MAX',
    share.default(0.5),
    'share of its runs of four words that an answer of a batch may repeat before it counts as repetitive',
  ),
  qualityPerplexityMax: setting(
    'FOREBAY_QUALITY_PERPLEXITY_MAX',
    whole(1, 1_000_000).default(100),
    'perplexity to its own model beyond which an answer of a batch counts as odd',
  ),
  judgeModel: setting(
    'FOREBAY_JUDGE_MODEL',
    text.optional(),
    'a model served here that gives a sample of batch answers scores; none is judged when not set',
  ),
  judgeShare: setting(
    'FOREBAY_JUDGE_SHARE',
    share.default(0.01),
    'share of batch answers that it judges, of a tenant without a share of its own',
  ),
  judgeScoreMin: setting(
    'FOREBAY_JUDGE_SCORE_MIN',
    whole(1, 5).default(3),
    'least score, from 1 to 5, below which an answer is flagged for review',
  ),
  judgeAlertShare: setting(
    'FOREBAY_JUDGE_ALERT_SHARE',
    share.default(0.1),
    "share of a batch's judged answers that must be flagged for the event quality.alert",
  ),
} as const satisfies Settings
