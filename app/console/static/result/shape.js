/** What shapes a result has: which parts of it are tables, which are series over time. */

const isObject = value => value !== null && typeof value === 'object' && !Array.isArray(value)
const isPlain = value => value === null || typeof value !== 'object'

/** As `monitoring.aggregate_metrics` has them: times, and a value for each. */
const isSeries = value => isObject(value) && Array.isArray(value.at) && Array.isArray(value.value) && value.at.length === value.value.length && value.at.length > 1

const NAMES = ['kind', 'name', 'metric', 'target', 'label']

/** `{name, unit, at, value}` of each series in the result, with times in seconds. */
export function seriesIn(value, name = '', found = []) {
  if (isSeries(value)) {
    const at = value.at.map(each => (typeof each === 'number' ? each : Date.parse(each) / 1000))
    found.push({ name, at, value: value.value.map(each => (typeof each === 'number' ? each : null)) })
  } else if (Array.isArray(value)) {
    value.forEach(each => isObject(each) && seriesIn(each, name, found))
  } else if (isObject(value)) {
    const own = NAMES.map(each => value[each]).filter(each => typeof each === 'string').join(' · ')
    for (const [key, each] of Object.entries(value)) {
      if (!isPlain(each)) seriesIn(each, own || (isSeries(each) ? name || key : key), found)
    }
  }
  return found
}

/** `{name, columns, rows}` of each table in the result; the plain members of an object are one of two columns. */
export function tablesIn(value) {
  if (Array.isArray(value)) return value.length ? [rowsOf('', value)] : []
  if (!isObject(value)) return []
  const facts = Object.entries(value).filter(([, each]) => isPlain(each))
  const nested = Object.entries(value).filter(([, each]) => isObject(each) && Object.values(each).every(isPlain))
  const lists = Object.entries(value).filter(([, each]) => Array.isArray(each) && each.length)
  return [
    ...(facts.length ? [{ name: '', columns: null, rows: facts }] : []),
    ...nested.map(([name, each]) => ({ name, columns: null, rows: Object.entries(each) })),
    ...lists.map(([name, each]) => rowsOf(name, each)),
  ]
}

function rowsOf(name, list) {
  if (!list.every(isObject)) return { name, columns: ['#', 'value'], rows: list.map((each, at) => [at + 1, each]) }
  const columns = [...new Set(list.slice(0, 200).flatMap(each => Object.keys(each)))].filter(column => !list.every(each => isSeries(each[column]) || each[column] === undefined))
  return { name, columns, rows: list.map(each => columns.map(column => each[column])) }
}
