// Makes the users of the database, each with the password of its secret and no more rights than it needs. What is there
// already gets its password and rights anew, so a rotation is this once more.
const { readFileSync } = require('fs');
const secret = (name) => readFileSync(`/run/secrets/${name}`, 'utf8').trim();
const hosts = process.env.MONGODB_HOSTS.split(',');
const asRoot = (host, options) => connect(`mongodb://root:${secret('mongodb_root')}@${host}/admin${options}`);

// Several hosts are a replica set. At the first start only the first of them has data.
if (hosts.length > 1) {
  const members = hosts.map((host, index) => ({ _id: index, host, priority: index === 0 ? 2 : 1 }));
  try {
    asRoot(hosts[0], '?directConnection=true').runCommand({ replSetInitiate: { _id: 'sluice', members } });
  } catch (error) {
    if (error.codeName !== 'AlreadyInitialized') throw error;
  }
}
const server = asRoot(hosts.join(','), hosts.length > 1 ? '?replicaSet=sluice' : '');
const database = server.getSiblingDB('sluice');

const looking = ['find', 'listCollections', 'listIndexes'];
const actions = {
  setup: [...looking, 'createCollection', 'collMod', 'createIndex', 'dropIndex'],
  sink: [...looking, 'insert', 'update', 'remove'],
  grafana: looking,
};
for (const [name, allowed] of Object.entries(actions)) {
  const role = { privileges: [{ resource: { db: 'sluice', collection: '' }, actions: allowed }], roles: [] };
  const user = { pwd: secret(`mongodb_${name}`), roles: [{ role: name, db: 'sluice' }] };
  const hasRole = database.runCommand({ rolesInfo: name }).roles.length > 0;
  database.runCommand(hasRole ? { updateRole: name, ...role } : { createRole: name, ...role });
  const hasUser = database.runCommand({ usersInfo: name }).users.length > 0;
  database.runCommand(hasUser ? { updateUser: name, ...user } : { createUser: name, ...user });
  print(`user ${name}: ${hasUser ? 'there already, password and rights renewed' : 'created'}`);
}
