const list = (words: string) => new Set(words.split(/\s+/).filter(Boolean))

/** Words that carry no meaning of their own in a question: two that differ in these alone ask the same. */
export const fillers: ReadonlySet<string> = list(`
a an the this that these those it its there here some any each such
i me my mine we us our you your he him his she her they them their one
is are was were be been being am do does did done doing has have had having
can could will would shall should may might must
of in on at to for by as into onto about and or if then than so also just
what which whats please kindly tell give show let know explain describe say name list answer help find out
want need like wish hello hi hey thanks thank wondering question quick quickly briefly exactly actually really
get got now today current currently when's what's who's
`)

/** Words that ask for different things: a question with one of them is not one with another. */
export const askers: ReadonlySet<string> = list('who whom whose when where why how many much often far')

/** Words that deny. */
export const negations: ReadonlySet<string> = list(
  `not no never none nothing nobody nowhere neither nor cannot without hardly barely except unless n't lacking`,
)

/**
 * Words that turn a question round or narrow it. Where one text has one of these and the other does not, they do not
 * mean the same; opposites are both in the list.
 */
export const turners: ReadonlySet<string> = list(`
enable disable activate deactivate allow deny permit forbid prohibit ban grant revoke accept reject approve decline
increase decrease raise lower reduce grow shrink expand maximize minimize maximum minimum max min
on off start stop begin end open close add remove insert delete create destroy include exclude
with from before after above below over under more less most least fewer up down left right top bottom
first last next previous second third former latter only all every both either same different
true false yes valid invalid legal illegal safe unsafe possible impossible public private internal external
buy sell import export encrypt decrypt encode decode compress decompress lock unlock install uninstall
upgrade downgrade upload download connect disconnect attach detach push pull send receive read write load save
subscribe unsubscribe follow unfollow like dislike agree disagree win lose gain loss profit deficit surplus
long short high low hot cold warm cool big small large little largest smallest biggest highest lowest longest
shortest oldest newest youngest best worst better worse old new early late fast slow fastest slowest hard soft
easy difficult male female father mother son daughter brother sister husband wife buyer seller client server
source target input output sender receiver parent child ancestor descendant
summer winter spring autumn north south east west morning evening day night past future
positive negative plus minus odd even ascending descending asc desc sync async blocking
debit credit asset liability income expense acid base cause effect prevent pros cons advantage disadvantage
advantages disadvantages benefit benefits risk risks
`)

/** Units, each under one name. */
export const units: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '%': '% percent pct',
    $: '$ usd dollar dollars',
    '€': '€ eur euro euros',
    '£': '£ gbp pound-sterling',
    '¥': '¥ jpy yen',
    mm: 'mm millimeter millimeters millimetre millimetres',
    cm: 'cm centimeter centimeters centimetre centimetres',
    m: 'meter meters metre metres',
    km: 'km kilometer kilometers kilometre kilometres',
    mile: 'mile miles mi',
    ft: 'ft foot feet',
    inch: 'inch inches',
    mg: 'mg milligram milligrams',
    g: 'gram grams',
    kg: 'kg kilogram kilograms kilo kilos',
    lb: 'lb lbs pound pounds',
    oz: 'oz ounce ounces',
    ml: 'ml milliliter milliliters millilitre millilitres',
    l: 'liter liters litre litres',
    gal: 'gallon gallons',
    ms: 'ms millisecond milliseconds',
    s: 'sec secs seconds',
    min: 'minute minutes mins',
    h: 'hour hours hr hrs',
    d: 'days',
    wk: 'week weeks',
    mo: 'month months',
    yr: 'year years',
    '°c': '°c celsius centigrade',
    '°f': '°f fahrenheit',
    k: 'kelvin',
    kb: 'kb kilobyte kilobytes',
    mb: 'mb megabyte megabytes',
    gb: 'gb gigabyte gigabytes',
    tb: 'tb terabyte terabytes',
    kw: 'kw kilowatt kilowatts',
    w: 'watt watts',
    v: 'volt volts',
    hz: 'hz hertz',
    mph: 'mph',
    kph: 'kph km/h kmh',
  }).flatMap(([unit, names]) => names.split(' ').map((name) => [name, unit] as const)),
)

const small =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'
const tens = 'twenty thirty forty fifty sixty seventy eighty ninety'
const ordinals = 'zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth'

/** Numbers in words, below a hundred. */
export const numberWords: ReadonlyMap<string, number> = new Map([
  ...small.split(' ').map((word, i) => [word, i] as const),
  ...tens.split(' ').map((word, i) => [word, (i + 2) * 10] as const),
  ...ordinals
    .split(' ')
    .slice(4)
    .map((word, i) => [word, i + 4] as const),
  ...[
    ['dozen', 12] as const,
    ['half', 0.5] as const,
    ['double', 2] as const,
    ['twice', 2] as const,
    ['once', 1] as const,
  ],
])

/** Words that multiply the number before them. */
export const multipliers: ReadonlyMap<string, number> = new Map([
  ['hundred', 100],
  ['thousand', 1_000],
  ['million', 1_000_000],
  ['billion', 1_000_000_000],
])

const monthNames = 'january february march april may june july august september october november december'

/** Months and weekdays, short forms too; `may` and `march` only with a capital, by the caller. */
export const calendar: ReadonlyMap<string, string> = new Map([
  ...monthNames
    .split(' ')
    .flatMap((name) => [[name, name.slice(0, 3)] as const, [name.slice(0, 3), name.slice(0, 3)] as const]),
  ...'monday tuesday wednesday thursday friday saturday sunday'
    .split(' ')
    .flatMap((name) => [[name, name.slice(0, 3)] as const, [name.slice(0, 3), name.slice(0, 3)] as const]),
])

/** Words that give a language away; English is one of them. */
export const languageWords: Readonly<Record<string, ReadonlySet<string>>> = {
  en: list('the is are what how of and to in for with does do can which where when why who my please you it'),
  de: list('der die das ist sind und wie was nicht ein eine für mit wo wann warum wer bitte ich von zu den dem'),
  fr: list(
    'le la les est sont et comment que quoi ne pas un une pour avec où quand pourquoi qui je des du quelle quel',
  ),
  es: list('el los las es son y cómo qué un una para con dónde cuándo quién por yo del cuál está'),
  it: list('il gli è sono come che cosa un una per con dove quando perché chi io della di qual'),
  pt: list('o os as é são como que um uma para com onde quando quem eu do da qual não está'),
  nl: list('de het is zijn en hoe wat niet een voor met waar wanneer waarom wie ik van'),
}
