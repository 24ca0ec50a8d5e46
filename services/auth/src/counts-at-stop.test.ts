import { openDatabase, takeAudit } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { expect, test } from '@jest/globals'
import request from 'supertest'
import { startAuth } from './testing/started.fixture.ts'

test('what was refused within the last minute is recorded when the service stops', async () => {
  const database = await makeDatabase()
  const db = openDatabase({ url: database.url, schema: 'auth', max: 1 })
  try {
    const auth = await startAuth(database.url, { adminPassword: 'the password of admin' })
    for (let n = 0; n < 2; n++) await request(auth.url).get('/api/v1/me').auth('admin', 'wrong').expect(401)
    expect((await takeAudit(db, { stored: [] })).rows).toEqual([])
    await auth.stop()
    const { rows } = await takeAudit(db, { stored: [] })
    expect(rows.map(({ entry }) => entry)).toMatchObject([
      { action: 'login', object: { kind: 'account', name: 'admin' }, result: 'login_failed', count: 2 },
    ])
  } finally {
    await db.close()
    await database.drop()
  }
}, 30_000)
