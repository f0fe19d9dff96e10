/**
 * What can be said of a form without asking: messages by field, in the shape in which the service says them. The service
 * checks everything again; this is for who is offline, and for an answer without a wait.
 */
import { number } from '../core/format.js'
import { t } from '../core/words.js'
import { kindOf, mayBeNull, plain } from './schema.js'

export function check(schema, value, isRequired = true) {
  const kind = kindOf(schema)
  if (kind === 'group') return checkGroup(schema, value, isRequired)
  if (kind === 'list') return checkList(schema, value, isRequired)
  if (kind === 'boolean') return undefined
  if (value === '' || value === null || value === undefined) {
    return isRequired && !mayBeNull(schema) ? [t('This is needed.')] : undefined
  }
  const messages = CHECKS.map(one => one(schema, value, kind)).filter(Boolean)
  return messages.length ? messages : undefined
}

function checkGroup(schema, value, isRequired) {
  const isEmpty = Object.values(value).every(each => each === '' || each === null || each === false)
  if (!isRequired && isEmpty) return undefined
  const needed = schema.required || []
  const found = Object.entries(schema.properties)
    .map(([name, of]) => [name, check(plain(of), value[name], needed.includes(name))])
    .filter(([, messages]) => messages)
  return found.length ? Object.fromEntries(found) : undefined
}

function checkList(schema, value, isRequired) {
  if (!value.length && !isRequired) return undefined
  if (schema.minItems && value.length < schema.minItems) return [t('{n} or more are needed.', { n: schema.minItems })]
  if (schema.maxItems && value.length > schema.maxItems) return [t('{n} at the most.', { n: schema.maxItems })]
  const found = value.map((each, at) => [at, check(plain(schema.items), each)]).filter(([, messages]) => messages)
  return found.length ? Object.fromEntries(found) : undefined
}

const isNumeric = kind => kind === 'integer' || kind === 'number'

const CHECKS = [
  (schema, value, kind) => isNumeric(kind) && !Number.isFinite(Number(value)) && t('This is not a number.'),
  (schema, value, kind) => kind === 'integer' && Number.isFinite(Number(value)) && !Number.isInteger(Number(value)) && t('Give a whole number.'),
  (schema, value, kind) => isNumeric(kind) && Number(value) < schema.minimum && t('{n} or more.', { n: number(schema.minimum) }),
  (schema, value, kind) => isNumeric(kind) && Number(value) > schema.maximum && t('{n} at the most.', { n: number(schema.maximum) }),
  (schema, value, kind) => isNumeric(kind) && Number(value) <= schema.exclusiveMinimum && t('More than {n}.', { n: number(schema.exclusiveMinimum) }),
  (schema, value, kind) => isNumeric(kind) && Number(value) >= schema.exclusiveMaximum && t('Less than {n}.', { n: number(schema.exclusiveMaximum) }),
  (schema, value) => [...String(value)].length < schema.minLength && t('{n} characters or more.', { n: schema.minLength }),
  (schema, value) => [...String(value)].length > schema.maxLength && t('{n} characters at the most.', { n: schema.maxLength }),
  (schema, value) => schema.pattern && !matches(schema.pattern, value) && t('This is not of the form that is wanted.'),
  (schema, value, kind) => kind === 'json' && !isJson(value) && t('This is not JSON.'),
]

function matches(pattern, value) {
  try {
    return new RegExp(pattern, 'u').test(value)
  } catch {
    return true // one that only the service can read
  }
}

function isJson(value) {
  try {
    JSON.parse(value)
    return true
  } catch {
    return false
  }
}

/** What the schema bounds, in a few words beside the field. */
export function limits(schema) {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = schema
  const far = Number.MAX_SAFE_INTEGER
  const range = (low, high, text) => {
    const [hasLow, hasHigh] = [low !== undefined && low > -far, high !== undefined && high < far]
    if (hasLow && hasHigh) return low === high ? text(number(low)) : text(`${number(low)} – ${number(high)}`)
    if (hasLow) return text(`≥ ${number(low)}`)
    return hasHigh ? text(`≤ ${number(high)}`) : null
  }
  return [
    range(minimum, maximum, span => span),
    range(minLength > 1 ? minLength : undefined, maxLength, span => t('{span} characters', { span })),
    range(minItems > 1 ? minItems : undefined, maxItems, span => t('{span} entries', { span })),
  ].filter(Boolean).join(', ')
}
