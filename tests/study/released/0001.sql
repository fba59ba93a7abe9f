BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE consent_texts (
	study_id INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (study_id, sha256), 
	FOREIGN KEY(study_id) REFERENCES studies (id)
);
INSERT INTO "consent_texts" VALUES(1,'41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b','the text');
CREATE TABLE critiques (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	round_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	submitted_at DOUBLE NOT NULL, 
	screening TEXT NOT NULL, 
	flags JSON NOT NULL, 
	UNIQUE (round_id, participant_id), 
	FOREIGN KEY(round_id) REFERENCES rounds (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
INSERT INTO "critiques" VALUES(1,2,1,'Say who is to pay for it.',1700000008.0,'clear','[]');
INSERT INTO "critiques" VALUES(2,2,2,'',1700000008.0,'clear','[]');
INSERT INTO "critiques" VALUES(3,2,3,'Say who is to pay for it.',1700000008.0,'clear','[]');
INSERT INTO "critiques" VALUES(4,2,4,'',1700000008.0,'clear','[]');
CREATE TABLE drafts (
	round_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	saved_at DOUBLE NOT NULL, 
	PRIMARY KEY (round_id, participant_id), 
	FOREIGN KEY(round_id) REFERENCES rounds (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	actor TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	group_id INTEGER, 
	participant_id INTEGER, 
	details JSON NOT NULL, 
	FOREIGN KEY(study_id) REFERENCES studies (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES(1,1,1699999980.0,'participant','joined',NULL,1,'{}');
INSERT INTO "events" VALUES(2,1,1699999980.0,'participant','consented',NULL,1,'{"sha256": "41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b"}');
INSERT INTO "events" VALUES(3,1,1699999980.0,'participant','check answered',NULL,1,'{"right": true}');
INSERT INTO "events" VALUES(4,1,1699999980.0,'participant','joined',NULL,2,'{}');
INSERT INTO "events" VALUES(5,1,1699999980.0,'participant','consented',NULL,2,'{"sha256": "41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b"}');
INSERT INTO "events" VALUES(6,1,1699999980.0,'participant','check answered',NULL,2,'{"right": true}');
INSERT INTO "events" VALUES(7,1,1699999980.0,'participant','joined',NULL,3,'{}');
INSERT INTO "events" VALUES(8,1,1699999980.0,'participant','consented',NULL,3,'{"sha256": "41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b"}');
INSERT INTO "events" VALUES(9,1,1699999980.0,'participant','check answered',NULL,3,'{"right": true}');
INSERT INTO "events" VALUES(10,1,1699999980.0,'participant','joined',NULL,4,'{}');
INSERT INTO "events" VALUES(11,1,1699999980.0,'participant','consented',NULL,4,'{"sha256": "41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b"}');
INSERT INTO "events" VALUES(12,1,1699999980.0,'participant','check answered',NULL,4,'{"right": true}');
INSERT INTO "events" VALUES(13,1,1700000000.0,'machine','group formed',1,NULL,'{"n_people": 4}');
INSERT INTO "events" VALUES(14,1,1700000000.0,'machine','stage',1,NULL,'{"stage": "opinions"}');
INSERT INTO "events" VALUES(15,1,1700000001.0,'machine','stage',1,NULL,'{"stage": "opinion_check"}');
INSERT INTO "events" VALUES(16,1,1700000001.0,'machine','stage',1,NULL,'{"stage": "generating"}');
INSERT INTO "events" VALUES(17,1,1700000001.0,'machine','statements written',1,NULL,'{"failed_arms": {}}');
INSERT INTO "events" VALUES(18,1,1700000001.0,'machine','stage',1,NULL,'{"stage": "statement_check"}');
INSERT INTO "events" VALUES(19,1,1700000001.0,'machine','stage',1,NULL,'{"stage": "rating"}');
INSERT INTO "events" VALUES(20,1,1700000007.0,'machine','stage',1,NULL,'{"stage": "critique"}');
INSERT INTO "events" VALUES(21,1,1700000008.0,'machine','stage',1,NULL,'{"stage": "critique_check"}');
INSERT INTO "events" VALUES(22,1,1700000008.0,'machine','stage',1,NULL,'{"stage": "generating"}');
INSERT INTO "events" VALUES(23,1,1700000008.0,'machine','statements written',1,NULL,'{"failed_arms": {}}');
INSERT INTO "events" VALUES(24,1,1700000008.0,'machine','stage',1,NULL,'{"stage": "statement_check"}');
INSERT INTO "events" VALUES(25,1,1700000008.0,'machine','stage',1,NULL,'{"stage": "rating"}');
INSERT INTO "events" VALUES(26,1,1700000012.0,'machine','stage',1,NULL,'{"stage": "result"}');
INSERT INTO "events" VALUES(27,1,1699999980.0,'machine','ended',1,1,'{"outcome": "complete"}');
INSERT INTO "events" VALUES(28,1,1699999980.0,'machine','ended',1,2,'{"outcome": "complete"}');
INSERT INTO "events" VALUES(29,1,1699999980.0,'machine','ended',1,3,'{"outcome": "complete"}');
INSERT INTO "events" VALUES(30,1,1699999980.0,'machine','ended',1,4,'{"outcome": "complete"}');
INSERT INTO "events" VALUES(31,1,1700000013.0,'machine','stage',1,NULL,'{"stage": "finished"}');
INSERT INTO "events" VALUES(32,1,1700000015.0,'command line','exported',NULL,NULL,'{"n_rounds": 2}');
CREATE TABLE groups (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	public_id TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	stage_since DOUBLE NOT NULL, 
	deadline DOUBLE NOT NULL, 
	paused_at DOUBLE, 
	round_id INTEGER, 
	version INTEGER NOT NULL, 
	message TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	FOREIGN KEY(study_id) REFERENCES studies (id), 
	UNIQUE (public_id)
);
INSERT INTO "groups" VALUES(1,1,'g-a1b0c1d869cb07c03a12','finished',1700000013.0,1700000013.0,NULL,2,43,'',1700000000.0);
CREATE TABLE jobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	round_id INTEGER NOT NULL, 
	what TEXT NOT NULL, 
	status TEXT NOT NULL, 
	claim TEXT, 
	lease_until DOUBLE NOT NULL, 
	n_attempts INTEGER NOT NULL, 
	queued_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	error TEXT NOT NULL, 
	UNIQUE (round_id), 
	FOREIGN KEY(round_id) REFERENCES rounds (id)
);
INSERT INTO "jobs" VALUES(1,1,'statements','done',NULL,1700000021.0,0,1700000001.0,1700000001.0,1700000001.0,'');
INSERT INTO "jobs" VALUES(2,2,'statements','done',NULL,1700000028.0,0,1700000008.0,1700000008.0,1700000008.0,'');
CREATE TABLE links (
	token_hash TEXT NOT NULL, 
	participant_id INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	used_at DOUBLE, 
	browser_hash TEXT, 
	PRIMARY KEY (token_hash), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
CREATE TABLE members (
	round_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	result_shown_at DOUBLE, 
	result_left_at DOUBLE, 
	PRIMARY KEY (round_id, participant_id), 
	FOREIGN KEY(round_id) REFERENCES rounds (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
INSERT INTO "members" VALUES(1,1,NULL,NULL);
INSERT INTO "members" VALUES(1,2,NULL,NULL);
INSERT INTO "members" VALUES(1,3,NULL,NULL);
INSERT INTO "members" VALUES(1,4,NULL,NULL);
INSERT INTO "members" VALUES(2,1,1700000013.0,1700000013.0);
INSERT INTO "members" VALUES(2,2,1700000013.0,1700000013.0);
INSERT INTO "members" VALUES(2,3,1700000013.0,1700000013.0);
INSERT INTO "members" VALUES(2,4,1700000013.0,1700000013.0);
CREATE TABLE minorities (
	round_id INTEGER NOT NULL, 
	basis TEXT NOT NULL, 
	included JSON NOT NULL, 
	text TEXT NOT NULL, 
	why TEXT NOT NULL, 
	model TEXT NOT NULL, 
	screening TEXT NOT NULL, 
	flags JSON NOT NULL, 
	PRIMARY KEY (round_id), 
	FOREIGN KEY(round_id) REFERENCES rounds (id)
);
CREATE TABLE opinions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	round_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	text TEXT NOT NULL, 
	submitted_at DOUBLE NOT NULL, 
	screening TEXT NOT NULL, 
	flags JSON NOT NULL, 
	UNIQUE (round_id, participant_id), 
	UNIQUE (round_id, name), 
	FOREIGN KEY(round_id) REFERENCES rounds (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
INSERT INTO "opinions" VALUES(1,1,1,'o2','Buses should cost less, because many people have no car and still have to get to work.',1700000001.0,'clear','[]');
INSERT INTO "opinions" VALUES(2,1,2,'o4','Buses should cost less, because many people have no car and still have to get to work.',1700000001.0,'clear','[]');
INSERT INTO "opinions" VALUES(3,1,3,'o1','Buses should cost less, because many people have no car and still have to get to work.',1700000001.0,'clear','[]');
INSERT INTO "opinions" VALUES(4,1,4,'o3','Buses should cost less, because many people have no car and still have to get to work.',1700000001.0,'clear','[]');
CREATE TABLE participants (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	study_id INTEGER NOT NULL, 
	public_id TEXT NOT NULL, 
	group_id INTEGER, 
	seat INTEGER NOT NULL, 
	stage TEXT NOT NULL, 
	stage_since DOUBLE NOT NULL, 
	outcome TEXT, 
	ended_at DOUBLE, 
	language TEXT NOT NULL, 
	is_simulated BOOLEAN NOT NULL, 
	browser_hash TEXT, 
	joined_at DOUBLE NOT NULL, 
	last_seen_at DOUBLE NOT NULL, 
	consented_at DOUBLE, 
	consent_sha256 TEXT, 
	n_check_attempts INTEGER NOT NULL, 
	n_rounds_entered INTEGER NOT NULL, 
	n_rounds_completed INTEGER NOT NULL, 
	n_extensions INTEGER NOT NULL, 
	UNIQUE (study_id, browser_hash), 
	FOREIGN KEY(study_id) REFERENCES studies (id), 
	UNIQUE (public_id), 
	FOREIGN KEY(group_id) REFERENCES groups (id)
);
INSERT INTO "participants" VALUES(1,1,'p-70e002c8bebbe72878b8',1,1,'group',1700000000.0,'complete',1700000013.0,'en',1,NULL,1700000000.0,1700000014.0,1700000000.0,'41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b',1,1,1,0);
INSERT INTO "participants" VALUES(2,1,'p-96a71385a1661060e5c2',1,2,'group',1700000000.0,'complete',1700000013.0,'en',1,NULL,1700000000.0,1700000014.0,1700000000.0,'41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b',1,1,1,0);
INSERT INTO "participants" VALUES(3,1,'p-ab110748bca231ef7eb1',1,3,'group',1700000000.0,'complete',1700000013.0,'en',1,NULL,1700000000.0,1700000014.0,1700000000.0,'41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b',1,1,1,0);
INSERT INTO "participants" VALUES(4,1,'p-403c2a226f0b2cf6a825',1,4,'group',1700000000.0,'complete',1700000013.0,'en',1,NULL,1700000000.0,1700000014.0,1700000000.0,'41a1f654dc79a9ac645afa553c31d51fd115eca8dd1cb9e6c67ae03e52718e8b',1,1,1,0);
CREATE TABLE predictions (
	statement_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	reward_model TEXT NOT NULL, 
	reward DOUBLE NOT NULL, 
	expected_rating DOUBLE NOT NULL, 
	PRIMARY KEY (statement_id, participant_id), 
	FOREIGN KEY(statement_id) REFERENCES statements (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
INSERT INTO "predictions" VALUES(1,1,'scripted',3.0,3.0);
INSERT INTO "predictions" VALUES(2,1,'scripted',3.1,3.1);
INSERT INTO "predictions" VALUES(3,1,'scripted',3.2,3.2);
INSERT INTO "predictions" VALUES(4,1,'scripted',3.3,3.3);
INSERT INTO "predictions" VALUES(1,2,'scripted',3.01,3.01);
INSERT INTO "predictions" VALUES(2,2,'scripted',3.11,3.11);
INSERT INTO "predictions" VALUES(3,2,'scripted',3.21,3.21);
INSERT INTO "predictions" VALUES(4,2,'scripted',3.3099999999999996092e+00,3.3099999999999996092e+00);
INSERT INTO "predictions" VALUES(1,3,'scripted',3.02,3.02);
INSERT INTO "predictions" VALUES(2,3,'scripted',3.12,3.12);
INSERT INTO "predictions" VALUES(3,3,'scripted',3.22,3.22);
INSERT INTO "predictions" VALUES(4,3,'scripted',3.32,3.32);
INSERT INTO "predictions" VALUES(1,4,'scripted',3.03,3.03);
INSERT INTO "predictions" VALUES(2,4,'scripted',3.13,3.13);
INSERT INTO "predictions" VALUES(3,4,'scripted',3.23,3.23);
INSERT INTO "predictions" VALUES(4,4,'scripted',3.32999999999999962696e+00,3.32999999999999962696e+00);
INSERT INTO "predictions" VALUES(5,1,'scripted',3.0,3.0);
INSERT INTO "predictions" VALUES(6,1,'scripted',3.1,3.1);
INSERT INTO "predictions" VALUES(7,1,'scripted',3.2,3.2);
INSERT INTO "predictions" VALUES(8,1,'scripted',3.3,3.3);
INSERT INTO "predictions" VALUES(5,2,'scripted',3.01,3.01);
INSERT INTO "predictions" VALUES(6,2,'scripted',3.11,3.11);
INSERT INTO "predictions" VALUES(7,2,'scripted',3.21,3.21);
INSERT INTO "predictions" VALUES(8,2,'scripted',3.3099999999999996092e+00,3.3099999999999996092e+00);
INSERT INTO "predictions" VALUES(5,3,'scripted',3.02,3.02);
INSERT INTO "predictions" VALUES(6,3,'scripted',3.12,3.12);
INSERT INTO "predictions" VALUES(7,3,'scripted',3.22,3.22);
INSERT INTO "predictions" VALUES(8,3,'scripted',3.32,3.32);
INSERT INTO "predictions" VALUES(5,4,'scripted',3.03,3.03);
INSERT INTO "predictions" VALUES(6,4,'scripted',3.13,3.13);
INSERT INTO "predictions" VALUES(7,4,'scripted',3.23,3.23);
INSERT INTO "predictions" VALUES(8,4,'scripted',3.32999999999999962696e+00,3.32999999999999962696e+00);
INSERT INTO "predictions" VALUES(9,1,'scripted',3.0,3.0);
INSERT INTO "predictions" VALUES(10,1,'scripted',3.1,3.1);
INSERT INTO "predictions" VALUES(11,1,'scripted',3.2,3.2);
INSERT INTO "predictions" VALUES(12,1,'scripted',3.3,3.3);
INSERT INTO "predictions" VALUES(13,1,'scripted',3.4,3.4);
INSERT INTO "predictions" VALUES(9,2,'scripted',3.01,3.01);
INSERT INTO "predictions" VALUES(10,2,'scripted',3.11,3.11);
INSERT INTO "predictions" VALUES(11,2,'scripted',3.21,3.21);
INSERT INTO "predictions" VALUES(12,2,'scripted',3.3099999999999996092e+00,3.3099999999999996092e+00);
INSERT INTO "predictions" VALUES(13,2,'scripted',3.40999999999999969801e+00,3.40999999999999969801e+00);
INSERT INTO "predictions" VALUES(9,3,'scripted',3.02,3.02);
INSERT INTO "predictions" VALUES(10,3,'scripted',3.12,3.12);
INSERT INTO "predictions" VALUES(11,3,'scripted',3.22,3.22);
INSERT INTO "predictions" VALUES(12,3,'scripted',3.32,3.32);
INSERT INTO "predictions" VALUES(13,3,'scripted',3.42,3.42);
INSERT INTO "predictions" VALUES(9,4,'scripted',3.03,3.03);
INSERT INTO "predictions" VALUES(10,4,'scripted',3.13,3.13);
INSERT INTO "predictions" VALUES(11,4,'scripted',3.23,3.23);
INSERT INTO "predictions" VALUES(12,4,'scripted',3.32999999999999962696e+00,3.32999999999999962696e+00);
INSERT INTO "predictions" VALUES(13,4,'scripted',3.42999999999999971578e+00,3.42999999999999971578e+00);
CREATE TABLE presentations (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	round_id INTEGER NOT NULL, 
	participant_id INTEGER NOT NULL, 
	statement_id INTEGER, 
	pass_index INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	written_at DOUBLE NOT NULL, 
	shown_at DOUBLE, 
	UNIQUE (round_id, participant_id, pass_index, place), 
	FOREIGN KEY(round_id) REFERENCES rounds (id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE, 
	FOREIGN KEY(statement_id) REFERENCES statements (id)
);
INSERT INTO "presentations" VALUES(1,1,1,NULL,-1,0,1700000000.0,1700000000.0);
INSERT INTO "presentations" VALUES(2,1,2,NULL,-1,0,1700000000.0,1700000000.0);
INSERT INTO "presentations" VALUES(3,1,3,NULL,-1,0,1700000000.0,1700000000.0);
INSERT INTO "presentations" VALUES(4,1,4,NULL,-1,0,1700000000.0,1700000000.0);
INSERT INTO "presentations" VALUES(5,1,1,3,0,0,1700000001.0,1700000002.0);
INSERT INTO "presentations" VALUES(6,1,1,4,0,1,1700000001.0,1700000003.0);
INSERT INTO "presentations" VALUES(7,1,1,8,0,2,1700000001.0,1700000004.0);
INSERT INTO "presentations" VALUES(8,1,1,3,1,0,1700000001.0,1700000005.0);
INSERT INTO "presentations" VALUES(9,1,1,8,1,1,1700000001.0,1700000006.0);
INSERT INTO "presentations" VALUES(10,1,1,4,1,2,1700000001.0,1700000007.0);
INSERT INTO "presentations" VALUES(11,1,2,3,0,0,1700000001.0,1700000002.0);
INSERT INTO "presentations" VALUES(12,1,2,4,0,1,1700000001.0,1700000003.0);
INSERT INTO "presentations" VALUES(13,1,2,8,0,2,1700000001.0,1700000004.0);
INSERT INTO "presentations" VALUES(14,1,2,8,1,0,1700000001.0,1700000005.0);
INSERT INTO "presentations" VALUES(15,1,2,4,1,1,1700000001.0,1700000006.0);
INSERT INTO "presentations" VALUES(16,1,2,3,1,2,1700000001.0,1700000007.0);
INSERT INTO "presentations" VALUES(17,1,3,3,0,0,1700000001.0,1700000002.0);
INSERT INTO "presentations" VALUES(18,1,3,8,0,1,1700000001.0,1700000003.0);
INSERT INTO "presentations" VALUES(19,1,3,4,0,2,1700000001.0,1700000004.0);
INSERT INTO "presentations" VALUES(20,1,3,4,1,0,1700000001.0,1700000005.0);
INSERT INTO "presentations" VALUES(21,1,3,8,1,1,1700000001.0,1700000006.0);
INSERT INTO "presentations" VALUES(22,1,3,3,1,2,1700000001.0,1700000007.0);
INSERT INTO "presentations" VALUES(23,1,4,8,0,0,1700000001.0,1700000002.0);
INSERT INTO "presentations" VALUES(24,1,4,3,0,1,1700000001.0,1700000003.0);
INSERT INTO "presentations" VALUES(25,1,4,4,0,2,1700000001.0,1700000004.0);
INSERT INTO "presentations" VALUES(26,1,4,8,1,0,1700000001.0,1700000005.0);
INSERT INTO "presentations" VALUES(27,1,4,4,1,1,1700000001.0,1700000006.0);
INSERT INTO "presentations" VALUES(28,1,4,3,1,2,1700000001.0,1700000007.0);
INSERT INTO "presentations" VALUES(29,2,1,13,0,0,1700000008.0,1700000009.0);
INSERT INTO "presentations" VALUES(30,2,1,9,0,1,1700000008.0,1700000010.0);
INSERT INTO "presentations" VALUES(31,2,1,13,1,0,1700000008.0,1700000011.0);
INSERT INTO "presentations" VALUES(32,2,1,9,1,1,1700000008.0,1700000012.0);
INSERT INTO "presentations" VALUES(33,2,2,9,0,0,1700000008.0,1700000009.0);
INSERT INTO "presentations" VALUES(34,2,2,13,0,1,1700000008.0,1700000010.0);
INSERT INTO "presentations" VALUES(35,2,2,9,1,0,1700000008.0,1700000011.0);
INSERT INTO "presentations" VALUES(36,2,2,13,1,1,1700000008.0,1700000012.0);
INSERT INTO "presentations" VALUES(37,2,3,9,0,0,1700000008.0,1700000009.0);
INSERT INTO "presentations" VALUES(38,2,3,13,0,1,1700000008.0,1700000010.0);
INSERT INTO "presentations" VALUES(39,2,3,9,1,0,1700000008.0,1700000011.0);
INSERT INTO "presentations" VALUES(40,2,3,13,1,1,1700000008.0,1700000012.0);
INSERT INTO "presentations" VALUES(41,2,4,13,0,0,1700000008.0,1700000009.0);
INSERT INTO "presentations" VALUES(42,2,4,9,0,1,1700000008.0,1700000010.0);
INSERT INTO "presentations" VALUES(43,2,4,13,1,0,1700000008.0,1700000011.0);
INSERT INTO "presentations" VALUES(44,2,4,9,1,1,1700000008.0,1700000012.0);
CREATE TABLE ratings (
	presentation_id INTEGER NOT NULL, 
	agreement INTEGER NOT NULL, 
	quality INTEGER, 
	shown_at DOUBLE NOT NULL, 
	first_input_at DOUBLE, 
	submitted_at DOUBLE NOT NULL, 
	n_changes INTEGER, 
	PRIMARY KEY (presentation_id), 
	FOREIGN KEY(presentation_id) REFERENCES presentations (id) ON DELETE CASCADE
);
INSERT INTO "ratings" VALUES(1,6,NULL,1700000000.0,NULL,1700000000.0,NULL);
INSERT INTO "ratings" VALUES(2,6,NULL,1700000000.0,NULL,1700000000.0,NULL);
INSERT INTO "ratings" VALUES(3,6,NULL,1700000000.0,NULL,1700000000.0,NULL);
INSERT INTO "ratings" VALUES(4,6,NULL,1700000000.0,NULL,1700000000.0,NULL);
INSERT INTO "ratings" VALUES(5,6,5,1700000002.0,NULL,1700000002.0,NULL);
INSERT INTO "ratings" VALUES(6,6,5,1700000003.0,NULL,1700000003.0,NULL);
INSERT INTO "ratings" VALUES(7,6,5,1700000004.0,NULL,1700000004.0,NULL);
INSERT INTO "ratings" VALUES(8,6,5,1700000005.0,NULL,1700000005.0,NULL);
INSERT INTO "ratings" VALUES(9,6,5,1700000006.0,NULL,1700000006.0,NULL);
INSERT INTO "ratings" VALUES(10,6,5,1700000007.0,NULL,1700000007.0,NULL);
INSERT INTO "ratings" VALUES(11,6,5,1700000002.0,NULL,1700000002.0,NULL);
INSERT INTO "ratings" VALUES(12,6,5,1700000003.0,NULL,1700000003.0,NULL);
INSERT INTO "ratings" VALUES(13,6,5,1700000004.0,NULL,1700000004.0,NULL);
INSERT INTO "ratings" VALUES(14,6,5,1700000005.0,NULL,1700000005.0,NULL);
INSERT INTO "ratings" VALUES(15,6,5,1700000006.0,NULL,1700000006.0,NULL);
INSERT INTO "ratings" VALUES(16,6,5,1700000007.0,NULL,1700000007.0,NULL);
INSERT INTO "ratings" VALUES(17,6,5,1700000002.0,NULL,1700000002.0,NULL);
INSERT INTO "ratings" VALUES(18,6,5,1700000003.0,NULL,1700000003.0,NULL);
INSERT INTO "ratings" VALUES(19,6,5,1700000004.0,NULL,1700000004.0,NULL);
INSERT INTO "ratings" VALUES(20,6,5,1700000005.0,NULL,1700000005.0,NULL);
INSERT INTO "ratings" VALUES(21,6,5,1700000006.0,NULL,1700000006.0,NULL);
INSERT INTO "ratings" VALUES(22,6,5,1700000007.0,NULL,1700000007.0,NULL);
INSERT INTO "ratings" VALUES(23,6,5,1700000002.0,NULL,1700000002.0,NULL);
INSERT INTO "ratings" VALUES(24,6,5,1700000003.0,NULL,1700000003.0,NULL);
INSERT INTO "ratings" VALUES(25,6,5,1700000004.0,NULL,1700000004.0,NULL);
INSERT INTO "ratings" VALUES(26,6,5,1700000005.0,NULL,1700000005.0,NULL);
INSERT INTO "ratings" VALUES(27,6,5,1700000006.0,NULL,1700000006.0,NULL);
INSERT INTO "ratings" VALUES(28,6,5,1700000007.0,NULL,1700000007.0,NULL);
INSERT INTO "ratings" VALUES(29,6,5,1700000009.0,NULL,1700000009.0,NULL);
INSERT INTO "ratings" VALUES(30,6,5,1700000010.0,NULL,1700000010.0,NULL);
INSERT INTO "ratings" VALUES(31,6,5,1700000011.0,NULL,1700000011.0,NULL);
INSERT INTO "ratings" VALUES(32,6,5,1700000012.0,NULL,1700000012.0,NULL);
INSERT INTO "ratings" VALUES(33,6,5,1700000009.0,NULL,1700000009.0,NULL);
INSERT INTO "ratings" VALUES(34,6,5,1700000010.0,NULL,1700000010.0,NULL);
INSERT INTO "ratings" VALUES(35,6,5,1700000011.0,NULL,1700000011.0,NULL);
INSERT INTO "ratings" VALUES(36,6,5,1700000012.0,NULL,1700000012.0,NULL);
INSERT INTO "ratings" VALUES(37,6,5,1700000009.0,NULL,1700000009.0,NULL);
INSERT INTO "ratings" VALUES(38,6,5,1700000010.0,NULL,1700000010.0,NULL);
INSERT INTO "ratings" VALUES(39,6,5,1700000011.0,NULL,1700000011.0,NULL);
INSERT INTO "ratings" VALUES(40,6,5,1700000012.0,NULL,1700000012.0,NULL);
INSERT INTO "ratings" VALUES(41,6,5,1700000009.0,NULL,1700000009.0,NULL);
INSERT INTO "ratings" VALUES(42,6,5,1700000010.0,NULL,1700000010.0,NULL);
INSERT INTO "ratings" VALUES(43,6,5,1700000011.0,NULL,1700000011.0,NULL);
INSERT INTO "ratings" VALUES(44,6,5,1700000012.0,NULL,1700000012.0,NULL);
CREATE TABLE recruiter_ids (
	participant_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	recruiter_participant TEXT NOT NULL, 
	recruiter_study TEXT NOT NULL, 
	recruiter_session TEXT NOT NULL, 
	PRIMARY KEY (participant_id), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE, 
	FOREIGN KEY(study_id) REFERENCES studies (id)
);
CREATE TABLE researcher_sessions (
	token_hash TEXT NOT NULL, 
	researcher_id INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	PRIMARY KEY (token_hash), 
	FOREIGN KEY(researcher_id) REFERENCES researchers (id) ON DELETE CASCADE
);
CREATE TABLE researchers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	UNIQUE (name)
);
CREATE TABLE rounds (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	public_id TEXT NOT NULL, 
	group_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	revises_id INTEGER, 
	first_id INTEGER, 
	edited TEXT NOT NULL, 
	question_id TEXT NOT NULL, 
	question TEXT NOT NULL, 
	position TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	statement_id INTEGER, 
	fell_short BOOLEAN NOT NULL, 
	result JSON, 
	notes JSON NOT NULL, 
	provenance JSON NOT NULL, 
	UNIQUE (group_id, number, revision), 
	UNIQUE (public_id), 
	FOREIGN KEY(group_id) REFERENCES groups (id)
);
INSERT INTO "rounds" VALUES(1,'r-5c55e72e3087ffb61426',1,1,0,NULL,NULL,'','q4af70aded8d7','Should local buses be number 0?','Buses should be 0.',1306791628,1700000000.0,1700000007.0,3,0,'{"n_asked": 4, "statements": [{"id": 3, "n": 4, "mean": 6.0, "mean_quality": 5.0, "n_agree": 4, "n_neutral": 0, "n_disagree": 0, "welfare": 6.0, "histogram": []}, {"id": 4, "n": 4, "mean": 6.0, "mean_quality": 5.0, "n_agree": 4, "n_neutral": 0, "n_disagree": 0, "welfare": 6.0, "histogram": []}, {"id": 8, "n": 4, "mean": 6.0, "mean_quality": 5.0, "n_agree": 4, "n_neutral": 0, "n_disagree": 0, "welfare": 6.0, "histogram": []}]}','[]','{"first": {"reward_model": "scripted", "seed": 1306791628}, "second": {"reward_model": "scripted", "seed": 1306799547}}');
INSERT INTO "rounds" VALUES(2,'r-ceb864a519366cf8bf2d',1,1,1,1,1,'','q4af70aded8d7','Should local buses be number 0?','Buses should be 0.',1859328965,1700000007.0,1700000012.0,9,0,'{"n_asked": 4, "n_critics": 2, "n_heard": 4, "statements": [{"id": 9, "n": 4, "mean": 6.0, "mean_quality": 5.0, "n_agree": 4, "n_neutral": 0, "n_disagree": 0, "welfare": 6.0, "histogram": []}, {"id": 13, "n": 4, "mean": 6.0, "mean_quality": 5.0, "n_agree": 4, "n_neutral": 0, "n_disagree": 0, "welfare": 6.0, "histogram": []}]}','[]','{"first": {"reward_model": "scripted", "seed": 1859328965}}');
CREATE TABLE login_sessions (
	token_hash TEXT NOT NULL, 
	participant_id INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	PRIMARY KEY (token_hash), 
	FOREIGN KEY(participant_id) REFERENCES participants (id) ON DELETE CASCADE
);
CREATE TABLE statements (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	round_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	draw INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	policy TEXT NOT NULL, 
	model TEXT NOT NULL, 
	prompt_hash TEXT NOT NULL, 
	seed INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	included JSON NOT NULL, 
	same_as_id INTEGER, 
	pick INTEGER, 
	alpha DOUBLE, 
	welfare DOUBLE, 
	rank INTEGER, 
	shown BOOLEAN NOT NULL, 
	screening TEXT NOT NULL, 
	flags JSON NOT NULL, 
	UNIQUE (round_id, name), 
	FOREIGN KEY(round_id) REFERENCES rounds (id)
);
INSERT INTO "statements" VALUES(1,1,'c01','first',0,'We agree on plan 0 of first.','few_shot','scripted','0000000000000000',1306791628,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(2,1,'c02','first',0,'We agree on plan 1 of first.','few_shot','scripted','0000000000000000',1306791629,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(3,1,'c03','first',0,'We agree on plan 2 of first.','few_shot','scripted','0000000000000000',1306791630,0,'["o2", "o4", "o1", "o3"]',NULL,1,0.0,3.21500000000000030198e+00,2,1,'clear','[]');
INSERT INTO "statements" VALUES(4,1,'c04','first',0,'We agree on plan 3 of first.','few_shot','scripted','0000000000000000',1306791631,0,'["o2", "o4", "o1", "o3"]',NULL,0,0.0,3.315,1,1,'clear','[]');
INSERT INTO "statements" VALUES(5,1,'c05','second',0,'We agree on plan 0 of second.','few_shot','scripted','0000000000000000',1306799547,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(6,1,'c06','second',0,'We agree on plan 1 of second.','few_shot','scripted','0000000000000000',1306799548,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(7,1,'c07','second',0,'We agree on plan 2 of second.','few_shot','scripted','0000000000000000',1306799549,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(8,1,'c08','second',0,'We agree on plan 3 of second.','few_shot','scripted','0000000000000000',1306799550,0,'["o2", "o4", "o1", "o3"]',NULL,2,9e999,3.3,1,1,'clear','[]');
INSERT INTO "statements" VALUES(9,2,'c01','first',0,'We agree on plan 2 of first.','few_shot','scripted','0000000000000000',1306791630,0,'["o2", "o4", "o1", "o3"]',3,0,0.0,3.01499999999999968025e+00,5,1,'clear','[]');
INSERT INTO "statements" VALUES(10,2,'c02','first',0,'We agree on plan 0 of first. Revised after 2.','few_shot','scripted','0000000000000000',1859328965,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(11,2,'c03','first',0,'We agree on plan 1 of first. Revised after 2.','few_shot','scripted','0000000000000000',1859328966,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(12,2,'c04','first',0,'We agree on plan 2 of first. Revised after 2.','few_shot','scripted','0000000000000000',1859328967,0,'["o2", "o4", "o1", "o3"]',NULL,NULL,NULL,NULL,NULL,0,'clear','[]');
INSERT INTO "statements" VALUES(13,2,'c05','first',0,'We agree on plan 3 of first. Revised after 2.','few_shot','scripted','0000000000000000',1859328968,0,'["o2", "o4", "o1", "o3"]',NULL,1,0.0,3.415,1,1,'clear','[]');
CREATE TABLE studies (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	config TEXT NOT NULL, 
	config_sha256 TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	lobby_version INTEGER NOT NULL, 
	facilitator_hash TEXT, 
	closed_at DOUBLE, 
	beat_at DOUBLE, 
	export_key TEXT NOT NULL, 
	door_key TEXT NOT NULL, 
	is_shut BOOLEAN NOT NULL, 
	keeps_nothing BOOLEAN NOT NULL, 
	UNIQUE (name)
);
INSERT INTO "studies" VALUES(1,'buses','study','{"name":"buses","title":"Local buses","contact":"","purpose":"","languages":["en","de"],"group":{"size":4,"minimum":3,"start":"full","late":"release","shortfall":"regroup"},"rounds":{"count":1,"order":"random","passes":2,"welfare":"utilitarian","revise":1,"revisions":1,"minority":false},"opinion":{"min_characters":40,"max_characters":1500},"timings_seconds":{"entry":3600.0,"lobby":600.0,"opinion":480.0,"critique":240.0,"rating":60.0,"result":180.0,"moderation":180.0,"generation":120.0,"extension":60.0},"generation":{"attempts":2,"fallback":"","hold_seconds":0.0},"moderation":{"mode":"automatic"},"recruiter":{"participant":"","study":"","session":"","return_url":""},"questions":[{"id":"","text":"Should local buses be number 0?","position":"Buses should be 0.","topic":"","split":""},{"id":"","text":"Should local buses be number 1?","position":"Buses should be 1.","topic":"","split":""},{"id":"","text":"Should local buses be number 2?","position":"Buses should be 2.","topic":"","split":""},{"id":"","text":"Should local buses be number 3?","position":"Buses should be 3.","topic":"","split":""},{"id":"","text":"Should local buses be number 4?","position":"Buses should be 4.","topic":"","split":""},{"id":"","text":"Should local buses be number 5?","position":"Buses should be 5.","topic":"","split":""}],"arms":[{"name":"first","policy":"few_shot","model":"embedded","reward":"reader","plan":"best","welfare":null,"alpha":null,"candidates":4,"shown":2,"shortlist":false},{"name":"second","policy":"few_shot","model":"embedded","reward":"reader","plan":"best","welfare":"rawlsian","alpha":null,"candidates":4,"shown":1,"shortlist":false}],"checks":[{"question":"How often?","choices":["Once","Twice"],"answer":2}],"check_attempts":2,"codes":{},"texts":{}}','dbccd54f80cf1471e7c4ca854d18f7ccda3643f507f315efa1244c431dc5d5c2',1700000000.0,5,NULL,NULL,NULL,'e96475e5179d8721e79c764dfbb2843e10e57d2cf1b89544ab79d51de982099b','21e7924d62f6e3e5ee7ef4db0777419a9b557d778c097f6dd50ac8a1a31eac4e',0,0);
CREATE INDEX ix_groups_study_id ON groups (study_id);
CREATE INDEX ix_groups_stage ON groups (stage);
CREATE INDEX ix_participants_study_id ON participants (study_id);
CREATE INDEX ix_participants_group_id ON participants (group_id);
CREATE INDEX ix_rounds_group_id ON rounds (group_id);
CREATE INDEX ix_recruiter_ids_participant_id ON recruiter_ids (participant_id);
CREATE INDEX recruiter_ids_by_number ON recruiter_ids (study_id, recruiter_participant);
CREATE INDEX ix_links_participant_id ON links (participant_id);
CREATE INDEX ix_login_sessions_participant_id ON login_sessions (participant_id);
CREATE INDEX ix_members_participant_id ON members (participant_id);
CREATE INDEX ix_drafts_participant_id ON drafts (participant_id);
CREATE INDEX ix_opinions_round_id ON opinions (round_id);
CREATE INDEX ix_opinions_participant_id ON opinions (participant_id);
CREATE INDEX ix_critiques_round_id ON critiques (round_id);
CREATE INDEX ix_critiques_participant_id ON critiques (participant_id);
CREATE INDEX ix_statements_round_id ON statements (round_id);
CREATE INDEX ix_jobs_status ON jobs (status);
CREATE INDEX ix_events_group_id ON events (group_id);
CREATE INDEX ix_events_participant_id ON events (participant_id);
CREATE INDEX ix_events_study_id ON events (study_id);
CREATE TRIGGER events_append_only BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events is append-only'); END;
CREATE INDEX ix_predictions_participant_id ON predictions (participant_id);
CREATE INDEX ix_presentations_round_id ON presentations (round_id);
CREATE INDEX ix_presentations_participant_id ON presentations (participant_id);
CREATE TRIGGER presentations_append_only BEFORE UPDATE ON presentations WHEN NOT (OLD.shown_at IS NULL AND NEW.id = OLD.id AND NEW.participant_id = OLD.participant_id AND NEW.round_id = OLD.round_id AND NEW.pass_index = OLD.pass_index AND NEW.place = OLD.place) BEGIN SELECT RAISE(ABORT, 'presentations is append-only'); END;
CREATE TRIGGER ratings_append_only BEFORE UPDATE ON ratings BEGIN SELECT RAISE(ABORT, 'ratings is append-only'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('studies',1);
INSERT INTO "sqlite_sequence" VALUES('participants',4);
INSERT INTO "sqlite_sequence" VALUES('events',32);
INSERT INTO "sqlite_sequence" VALUES('groups',1);
INSERT INTO "sqlite_sequence" VALUES('rounds',2);
INSERT INTO "sqlite_sequence" VALUES('presentations',44);
INSERT INTO "sqlite_sequence" VALUES('opinions',4);
INSERT INTO "sqlite_sequence" VALUES('jobs',2);
INSERT INTO "sqlite_sequence" VALUES('statements',13);
INSERT INTO "sqlite_sequence" VALUES('critiques',4);
COMMIT;
