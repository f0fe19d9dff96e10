/** What a params schema (JSON Schema) means for a form: which field, what to begin with, what is sent. */

const types = schema => [schema.type].flat().filter(type => type && type !== 'null')

export const mayBeNull = schema => [schema.type].flat().includes('null') || (schema.enum || []).includes(null)

/** The one branch of `anyOf` that is not null, as a nullable nested schema has it. */
export function plain(schema) {
  const branches = (schema.anyOf || schema.oneOf || []).filter(each => each.type !== 'null')
  return branches.length === 1 ? { ...branches[0], ...schema, anyOf: undefined, oneOf: undefined } : schema
}

export function kindOf(schema) {
  const [type, other] = types(schema)
  if (schema.enum) return 'choice'
  if (other || !type) return 'json'
  if (type === 'object') return schema.properties ? 'group' : 'json'
  if (type === 'array') return schema.items && kindOf(plain(schema.items)) !== 'json' ? 'list' : 'json'
  if (type !== 'string') return type // integer, number, boolean
  if (schema['x-upload']) return 'file'
  return { 'date-time': 'time', date: 'date' }[schema.format] || (schema.maxLength > 300 ? 'text' : 'string')
}

const twoDigits = value => String(value).padStart(2, '0')

function localTime(at) {
  const moment = new Date(at)
  const date = [moment.getFullYear(), twoDigits(moment.getMonth() + 1), twoDigits(moment.getDate())].join('-')
  return `${date}T${twoDigits(moment.getHours())}:${twoDigits(moment.getMinutes())}`
}

/** What a field holds for this value, or for the schema's own default. Numbers are held as they are typed. */
export function held(schema, value = schema.default) {
  const kind = kindOf(schema)
  if (kind === 'group') {
    return Object.fromEntries(Object.entries(schema.properties).map(([name, of]) => [name, held(plain(of), (value || {})[name])]))
  }
  if (kind === 'list') return (value || []).map(each => held(plain(schema.items), each))
  if (kind === 'boolean') return value === undefined || value === null ? (mayBeNull(schema) ? null : false) : value
  if (value === undefined || value === null) return ''
  if (kind === 'json') return JSON.stringify(value, null, 2)
  if (kind === 'time') return localTime(value)
  if (kind === 'choice') return JSON.stringify(value)
  return String(value)
}

/** What is sent for what a field holds; undefined for nothing. Throws SyntaxError for JSON that is none. */
export function sent(schema, value, isRequired) {
  const kind = kindOf(schema)
  if (kind === 'group') return sentGroup(schema, value, isRequired)
  if (kind === 'list') {
    const all = value.map(each => sent(plain(schema.items), each, true))
    return all.length || (isRequired && !schema.minItems) ? all : undefined
  }
  if (kind === 'boolean') return value
  if (value === '' || value === null) return isRequired && mayBeNull(schema) ? null : undefined
  if (kind === 'integer' || kind === 'number') return Number.isFinite(Number(value)) ? Number(value) : value
  if (kind === 'json' || kind === 'choice') return JSON.parse(value)
  if (kind === 'time') return new Date(value).toISOString()
  return value
}

function sentGroup(schema, value, isRequired) {
  const needed = schema.required || []
  const members = Object.entries(schema.properties)
    .map(([name, of]) => [name, sent(plain(of), value[name], needed.includes(name))])
    .filter(([, each]) => each !== undefined)
  return members.length || isRequired ? Object.fromEntries(members) : undefined
}
