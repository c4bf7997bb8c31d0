import assert from 'node:assert/strict'
import { it } from 'node:test'
import fc from 'fast-check'
import { parseExact } from '#api'

it('parses as JSON.parse does, where numbers stay what they are', () => {
  const text = '{"a":[1,2.5,-3,"9007199254740993"],"b":{"c":null,"d":true},"e":"1.0"}'
  assert.deepEqual(parseExact(text), JSON.parse(text))
  assert.throws(() => parseExact('{'), SyntaxError)
})

it('keeps the text of every number', () => {
  const texts = [
    '1',
    '1.0',
    '-0',
    '1e3',
    '1E+3',
    '9007199254740993',
    '0.10',
    '0.0000001',
    '1e999',
    '123456.78901234567890123',
  ]
  for (const text of texts) assert.equal(JSON.stringify(parseExact(`{"n":[${text}]}`)), `{"n":[${text}]}`)
  assert.equal(JSON.stringify(parseExact(Buffer.from('{"é":12345678901234567890}'))), '{"é":12345678901234567890}')
})

it('keeps any number that JSON can write', () => {
  const digits = fc.array(fc.constantFrom('0', '1', '9', '5'), { minLength: 1, maxLength: 22 }).map(d => d.join(''))
  const whole = digits.map(d => d.replace(/^0+(?=\d)/, ''))
  const number = fc
    .tuple(fc.constantFrom('', '-'), whole, fc.option(digits), fc.option(fc.integer({ min: -400, max: 400 })))
    .map(
      ([sign, int, fraction, power]) =>
        `${sign}${int}${fraction === null ? '' : `.${fraction}`}${power === null ? '' : `e${power}`}`,
    )
  fc.assert(fc.property(number, text => assert.equal(JSON.stringify(parseExact(`[${text}]`)), `[${text}]`)))
})
