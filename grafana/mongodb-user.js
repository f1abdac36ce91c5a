// Makes the user that Grafana reads with, or changes its password:
//   PASSWORD=… mongosh mongodb://admin@mongo:27017/sluice?authSource=admin mongodb-user.js
const user = { pwd: process.env.PASSWORD, roles: [{ role: 'read', db: db.getName() }] };
if (!user.pwd) throw new Error('PASSWORD is not set');
if (db.getUser('grafana')) db.updateUser('grafana', user);
else db.createUser({ user: 'grafana', ...user });
