// Lets json-server answer only who shows the token: `Authorization: Bearer …`, `X-Api-Key: …`, or the user `leasehold` with the
// token for a password.

const token = process.env.LEASEHOLD_REST_TOKEN
const basic = Buffer.from(`leasehold:${token}`).toString('base64')

module.exports = (request, response, next) => {
  const shown = request.get('authorization')
  if ([`Bearer ${token}`, `Basic ${basic}`].includes(shown) || request.get('x-api-key') === token) return next()
  response.status(401).json({ error: 'who are you?' })
}
